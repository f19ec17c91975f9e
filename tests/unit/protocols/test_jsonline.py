"""Cutting lines."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.protocols.stub import LinePeer, StubHub, doors

STREAM = b"login#1 alice\r\n\n  \nsend#2 a\nnonsense#3\n" + b"x" * 1500 + b"\ngroups#4\n"
ANSWERS = ["login#1 alice", "refused#3 UNKNOWN_COMMAND", "refused TOO_LARGE", "groups#4 ok"]
# What looks like an object is taken in another way than what does not.
STREAM += b"hello#5 }\nhello#6 {}\n" + b"x" * 1500 + b"}\n" + b"hello#7 }\r\nhello#8\nhello#9 }\n"
ANSWERS += ["hello#5 ok", "hello#6 ok", "refused TOO_LARGE", "hello#7 ok", "hello#8 ok", "hello#9 ok"]


class Lines(SynchronousTestCase):
    """Pieces, long lines, other people's protocols."""

    def peer(self) -> LinePeer:
        return LinePeer(doors(StubHub()))

    def test_every_split_point(self) -> None:
        for cut in range(len(STREAM) + 1):
            peer = self.peer()
            peer.feed(STREAM[:cut])
            peer.feed(STREAM[cut:])
            self.assertEqual(peer.heard(), ANSWERS, cut)

    def test_byte_by_byte(self) -> None:
        peer = self.peer()
        for n in range(len(STREAM)):
            peer.feed(STREAM[n : n + 1])
        self.assertEqual(peer.heard(), ANSWERS)

    @given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
    def test_any_pieces(self, cuts: list[int]) -> None:
        peer = self.peer()
        edges = [0, *sorted(cuts), len(STREAM)]
        for start, end in pairwise(edges):
            peer.feed(STREAM[start:end])
        self.assertEqual(peer.heard(), ANSWERS)

    def test_the_longest_line_passes_and_one_byte_more_does_not(self) -> None:
        for last in (b"x", b"}"):
            peer = self.peer()
            for size in (1000, 1001):
                peer.feed(b"hello#1 " + b"x" * (size - 9) + last + b"\n")
            self.assertEqual(peer.heard(), ["hello#1 ok", "refused TOO_LARGE"])

    def test_a_carriage_return_does_not_count(self) -> None:
        peer = self.peer()
        peer.feed(b"hello#1 " + b"x" * 992 + b"\r\n")
        self.assertEqual(peer.heard(), ["hello#1 ok"])

    def test_an_endless_line_is_answered_once_and_not_kept(self) -> None:
        peer = self.peer()
        for _ in range(100):
            peer.feed(b"x" * 500)
        self.assertEqual(peer.heard(), ["refused TOO_LARGE"])
        self.assertIsNone(peer.protocol._pieces)
        peer.feed(b"\nhello#1\n")
        self.assertEqual(peer.heard(), ["hello#1 ok"])

    def test_nothing_is_kept_between_lines(self) -> None:
        peer = self.peer()
        peer.say("hello#1", "hello#2")
        self.assertIsNone(peer.protocol._pieces)

    def test_a_first_line_of_http_closes_without_an_answer(self) -> None:
        for line in (b"GET / HTTP/1.1", b"POST /login HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET /{x}"):
            peer = self.peer()
            end = b"\n" if line.endswith(b"}") else b"\r\n"
            peer.feed(line + end + b"Host: here\r\n\r\nlogin#1 alice\n")
            self.assertEqual(peer.heard(), [])
            self.assertTrue(peer.closing)

    def test_a_later_line_of_http_is_only_nonsense(self) -> None:
        peer = self.peer()
        peer.say("hello#1", "GET / HTTP/1.1")
        self.assertFalse(peer.closing)

    def test_answers_end_with_one_line_feed(self) -> None:
        peer = self.peer()
        self.assertEqual(peer.protocol.frame(b"x"), b"x\n")
        self.assertEqual(peer.protocol.frame(b"x\n"), b"x\n")
