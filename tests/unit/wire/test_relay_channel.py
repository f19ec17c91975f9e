"""Frames of the file channel of the dialect chat-app, however they are cut, in both roles."""

from __future__ import annotations

import random
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.file_relays import RelayRole
from imserver.wire.base import WireError
from imserver.wire.relaychannel import (
    MAX_DATA,
    MAX_HELLO,
    MAX_WORDS,
    FrameType,
    HelloBuffer,
    Piece,
    RelayFrames,
    RelayHello,
    failed,
    frame,
    hello_line,
    read_hello,
    words_of,
)
from tests.clients import relay_channel as by_hand
from tests.effort import effort, seeds

HELLO = RelayHello("0a" * 16, RelayRole.SENDER, "张三")


class FirstLine(SynchronousTestCase):
    def test_golden(self) -> None:
        line = '{"session_id":"%s","role":"sender","user_id":"张三"}\n' % ("0a" * 16)
        self.assertEqual(hello_line(HELLO).decode(), line)
        self.assertEqual(read_hello(line.strip().encode()), HELLO)
        self.assertEqual(read_hello(by_hand.first_line("0a" * 16, "sender", "张三")), HELLO)
        loose = b' {"user_id":7,"more":null,"role":"receiver","session_id":"x"} \r'
        self.assertEqual(read_hello(loose), RelayHello("x", RelayRole.RECEIVER, "7"))

    def test_every_split_point(self) -> None:
        stream = hello_line(HELLO) + b"rest\n"
        for point in range(len(stream)):
            buffer = HelloBuffer()
            found = buffer.feed(stream[:point]) or buffer.feed(stream[point:])
            assert found is not None
            self.assertEqual(found[0], HELLO)
            self.assertTrue(b"rest\n".startswith(found[1]))

    def test_what_is_none(self) -> None:
        for line in (
            b"",
            b"{}",
            b"[]",
            b"null",
            b'{"session_id":5,"role":"sender","user_id":"a"}',
            b'{"session_id":"x","role":"both","user_id":"a"}',
            b'{"session_id":"x","role":"sender","user_id":null}',
            b'{"session_id":"x","role":"sender","user_id":"\xff"}',
            b'{"session_id":"x","role":"sender","more":' + b"[" * 2_000,
        ):
            self.assertRaises(WireError, read_hello, line)
        self.assertRaises(WireError, HelloBuffer().feed, b"{" + b"x" * MAX_HELLO)


class Frames(SynchronousTestCase):
    def test_golden(self) -> None:
        for kind, payload, written in (
            (FrameType.DATA, b"hi", "01020000006869"),
            (FrameType.DATA, b"", "0100000000"),
            (FrameType.END, b"", "0200000000"),
            (FrameType.FAILED, b"no", "03020000006e6f"),
        ):
            self.assertEqual(frame(kind, payload).hex(), written)
            self.assertEqual(by_hand.frame(kind, payload).hex(), written)
        self.assertEqual(failed("no").hex(), "03020000006e6f")
        self.assertEqual(len(failed("x" * 10_000)), 5 + MAX_WORDS)

    @given(
        st.lists(
            st.tuples(st.just(FrameType.DATA), st.binary(max_size=40))
            | st.tuples(st.sampled_from([FrameType.END, FrameType.FAILED]), st.binary(max_size=20)),
            max_size=6,
        ),
        st.lists(st.integers(1, 9), max_size=30),
    )
    def test_nothing_is_lost_wherever_it_is_cut(
        self, frames: list[tuple[FrameType, bytes]], cuts: list[int]
    ) -> None:
        stream = b"".join(frame(kind, payload) for kind, payload in frames)
        buffer, pieces, at = RelayFrames(), [], 0
        for cut in [*cuts, len(stream)]:
            pieces += buffer.feed(stream[at : at + cut])
            at += cut
        pieces += buffer.feed(stream[at:])
        self.assertFalse(buffer.inside)
        self.assertEqual(b"".join(piece.raw for piece in pieces), stream)
        counted = sum(piece.count for piece in pieces if piece.type is FrameType.DATA)
        self.assertEqual(counted, sum(len(data) for kind, data in frames if kind is FrameType.DATA))
        words = [words_of(piece) for piece in pieces if piece.type is not FrameType.DATA]
        wanted = [data.decode("utf-8", "replace") for kind, data in frames if kind is not FrameType.DATA]
        self.assertEqual(words, wanted)

    def test_many_small_ones_cost_hardly_more_than_a_large_one(self) -> None:
        small = frame(FrameType.DATA) * 500 + frame(FrameType.DATA, b"x") * 500
        self.assertEqual(RelayFrames().feed(small), [Piece(FrameType.DATA, small, 500)])
        end = frame(FrameType.END, b"{}")
        pieces = RelayFrames().feed(small + end + small)
        self.assertEqual([piece.raw for piece in pieces], [small, end, small])

    def test_it_is_known_where_a_frame_is_not_whole(self) -> None:
        buffer = RelayFrames()
        for size, inside in ((4, False), (1, True), (1, True), (1, False)):
            buffer.feed({4: b"\x01\x02\0\0", 1: b"\0"}[size])
            self.assertEqual(buffer.inside, inside)

    def test_limits(self) -> None:
        buffer = RelayFrames()
        (piece,) = buffer.feed(struct.pack("<BI", 1, MAX_DATA) + b"x")
        self.assertEqual(piece.count, 1)
        for kind, length in ((1, MAX_DATA + 1), (2, MAX_WORDS + 1), (3, 2**32 - 1), (0, 0), (4, 0), (255, 1)):
            self.assertRaises(WireError, RelayFrames().feed, struct.pack("<BI", kind, length))

    def test_any_bytes(self) -> None:
        for seed in seeds(1):
            chance = random.Random(seed)
            for _ in range(effort(3_000, 100_000, 1_000_000)):
                buffer, data = RelayFrames(), chance.randbytes(chance.randrange(40))
                data = data.replace(b"\x05", b"\0").replace(b"\x09", b"\x01")
                try:
                    for byte in data:
                        buffer.feed(bytes([byte]))
                except WireError:
                    pass
