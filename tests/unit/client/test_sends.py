"""Messages on their way out: once each, in order, whatever becomes of connections."""

from __future__ import annotations

from imserver.client.connection import ConnectionGone
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted
from tests.unit.client.bench import NUMBERED, ClientCase


class Numbered(ClientCase):
    """The formats whose messages have ids."""

    def test_an_answer_is_the_reply(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                client = self.start(format)
                accepted = self.successResultOf(client.send("bob", "hi"))
                self.assertEqual((accepted.message_id, accepted.seq), ("m101", 101))
                self.finish()

    def test_what_is_unanswered_is_sent_again_under_its_id_and_in_order(self) -> None:
        for format in NUMBERED:
            with self.subTest(format=format):
                client = self.start(format)
                self.server.answers = False
                answers = [client.send("bob", f"a{number}") for number in range(3)]
                ids = [request.command.client_id for request in self.server.link.held]
                self.server.accept(self.server.link, self.server.link.held[0])
                self.server.link.lose()
                answers.append(client.send("bob", "a3"))
                self.assertFalse(client.connected)
                self.come_back()
                self.assertEqual(self.server.sent, ["a0", "a1", "a2", "a1", "a2", "a3"])
                again = [request.command.client_id for request in self.server.link.held]
                self.assertEqual(again[:2], ids[1:])
                self.assertEqual(len({*ids, *again}), 4)
                for request in self.server.link.held:
                    self.server.accept(self.server.link, request)
                seqs = [self.successResultOf(answer).seq for answer in answers]
                self.assertEqual(seqs, [101, 102, 103, 104])
                self.finish()

    def test_only_a_window_is_on_the_wire(self) -> None:
        client = self.start("protobuf")
        self.server.answers = False
        answers = [client.send("bob", f"a{number}") for number in range(200)]
        self.assertEqual(len(self.server.sent), 64)
        while self.server.link.held:
            self.server.accept(self.server.link, self.server.link.held.pop(0))
        self.assertEqual(self.server.sent, [f"a{number}" for number in range(200)])
        for answer in answers:
            self.successResultOf(answer)
        self.finish()

    def test_refusals(self) -> None:
        client = self.start("jsonline", queue=2)
        self.server.answers = False
        answer = client.send("bob", "a", client_id="x")
        self.assertEqual(self.refusal_of(client.send("bob", "a", client_id="x")), ErrorCode.CONFLICT)
        other = client.send("bob", "b")
        self.assertEqual(self.refusal_of(client.send("bob", "c")), ErrorCode.TOO_FAST)
        self.server.link.reply(self.server.link.held[0], ImError(ErrorCode.USER_NOT_FOUND, "no"))
        self.assertEqual(self.refusal_of(answer), ErrorCode.USER_NOT_FOUND)
        self.finish()
        self.assertEqual(self.refusal_of(other), ErrorCode.UNAVAILABLE)
        self.assertEqual(self.refusal_of(client.send("bob", "late")), ErrorCode.UNAVAILABLE)
        with self.assertRaises(ImError):
            self.start("jsonline").send("", "to nobody")

    def test_other_requests_fail_with_their_connection(self) -> None:
        client = self.start("signalling")
        asked = client.revoke("m1")
        self.server.link.lose()
        self.failureResultOf(asked, ConnectionGone)
        self.failureResultOf(client.revoke("m1"), ConnectionGone)
        self.come_back()
        self.assertEqual(len(self.server.asked), 1)
        self.finish()


class Texts(ClientCase):
    """Document 000, where a heartbeat tells what became of a text."""

    def test_a_text_is_accepted_with_the_echo_behind_it(self) -> None:
        client = self.start("qdatastream")
        self.server.pings = False
        first, second = client.send("bob", "a"), client.send("group_g", "b")
        self.assertEqual(self.server.sent, ["a"])
        self.server.link.write(b"\x07")
        self.assertEqual(self.successResultOf(first), MessageAccepted("", "", 0, 0.0))
        self.assertEqual(self.server.sent, ["a", "b"])
        self.assertNoResult(second)
        self.server.link.write(b"\x07")
        self.successResultOf(second)
        self.finish()

    def test_a_refusal_before_the_echo_is_the_texts(self) -> None:
        client = self.start("qdatastream")
        self.server.pings = False
        refused, kept = client.send("nobody", "a"), client.send("bob", "b")
        link = self.server.link
        link.reply(link.codec.decode(b"\0\0\x01x\0\x01a"), ImError(ErrorCode.USER_NOT_FOUND, "no"))
        link.write(b"\x07")
        self.assertEqual(self.refusal_of(refused), ErrorCode.NOT_FOUND)
        link.write(b"\x07")
        self.successResultOf(kept)
        self.finish()

    def test_a_refused_heartbeat_is_sent_again(self) -> None:
        client = self.start("qdatastream")
        self.server.pings = False
        answer = client.send("bob", "a")
        self.server.link.write(bytes.fromhex("0b 07 01ad 0000"))
        self.server.pings = True
        self.assertNoResult(answer)
        self.clock.advance(1.0)
        self.successResultOf(answer)
        self.assertEqual(self.server.sent, ["a"])
        self.finish()

    def test_what_was_on_its_way_is_not_sent_again(self) -> None:
        client = self.start("qdatastream")
        self.server.pings = False
        lost, waiting = client.send("bob", "a"), client.send("bob", "b")
        self.server.link.lose()
        self.assertEqual(self.refusal_of(lost), ErrorCode.UNAVAILABLE)
        self.server.pings = True
        self.come_back()
        self.successResultOf(waiting)
        self.assertEqual(self.server.sent, ["a", "b"])
        self.finish()

    def test_what_does_not_fit_is_refused_here(self) -> None:
        client = self.start("qdatastream")
        self.server.links[0].send = _too_long  # type: ignore[method-assign]
        self.assertEqual(self.refusal_of(client.send("bob", "x")), ErrorCode.TOO_LARGE)


def _too_long(frame: bytes) -> None:
    raise ValueError("too long")
