"""Formats that log in with the WebSocket handshake, choose a subprotocol, or skip what is too long."""

from __future__ import annotations

import json
import zlib
from typing import Any

from msgspec.structs import replace
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import KickReason, LogIn, SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import AckMessages, SendMessage
from imserver.protocols.websocket import WebSocketFactory
from imserver.wire.base import Negotiated, Upgrade, WireError
from tests.clients.websocket_client import BINARY, CLOSE, TEXT, Frame, FrameReader, encode_frame
from tests.unit.protocols.stub import STUB, StubCodec, StubHub, doors

TRAITS = replace(STUB, acks=False, acks_by_choice=True, skips_oversize=True)


class Codec(StubCodec):
    """Answers a log-in that came with the handshake, and refuses what is too long by name."""

    def reply(self, request: Any, reply: Any) -> list[bytes]:
        if request.tag is None:
            return [b"welcome " + reply.user.encode()]
        return super().reply(request, reply)

    def refusal(self, tag: Any, error: ImError | WireError, command: Any = None) -> list[bytes]:
        return [b"refused " + error.code.value.encode()]


def negotiate(upgrade: Upgrade) -> Negotiated:
    """`?user=` logs in; subprotocol `b` makes messages binary."""
    binary = "b" in upgrade.subprotocols
    users = upgrade.query.get("user")
    if upgrade.authorization == "crash":
        raise ZeroDivisionError
    if not users:
        raise ImError(ErrorCode.AUTH_FAILED, "who are you?")
    command = None if users == ["nobody"] else LogIn(user=users[0], password="p")
    return Negotiated(Codec(TRAITS), binary, "b" if binary else None, command)


class Peer:
    """A peer on a WebSocket over a StringTransport and a Clock."""

    def __init__(self, hub: StubHub, query: str = "?user=alice", headers: str = "", **limits: Any) -> None:
        self.clock = Clock()
        self.doors = doors(hub, self.clock, **limits)
        factory = WebSocketFactory(self.doors, lambda: Codec(TRAITS), False, negotiate, compression=True)
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.1", 1))
        # As the HTTP channel leaves it.
        self.transport.registerProducer(object(), True)
        protocol = factory.buildProtocol(self.transport.getPeer())
        assert protocol is not None
        self.protocol = protocol
        self.protocol.makeConnection(self.transport)
        self.reader = FrameReader()
        self.feed(
            f"GET /ws{query} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"{headers}\r\n".encode()
        )

    def feed(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def say(self, *texts: str, opcode: int = TEXT) -> None:
        self.feed(b"".join(encode_frame(opcode, text.encode()) for text in texts))

    def written(self) -> bytes:
        self.clock.advance(0)
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def answer(self) -> tuple[str, bytes]:
        """Head and rest of the answer to the upgrade."""
        head, _, rest = self.written().partition(b"\r\n\r\n")
        return head.decode(), rest

    def heard(self) -> list[Frame]:
        return self.reader.feed(self.written())

    def texts(self) -> list[bytes]:
        return [frame.payload for frame in self.heard()]


class LogInByHandshake(SynchronousTestCase):
    def setUp(self) -> None:
        self.hub = StubHub()

    def test_the_first_frame_answers_the_log_in(self) -> None:
        peer = Peer(self.hub)
        head, rest = peer.answer()
        self.assertTrue(head.startswith("HTTP/1.1 101 "))
        self.assertNotIn("sec-websocket-protocol", head.lower())
        (frame,) = peer.reader.feed(rest)
        self.assertEqual((frame.opcode, frame.payload), (TEXT, b"welcome alice"))
        self.assertEqual(self.hub.attachments[0].told, ["start"])
        peer.say("ping#1")
        self.assertEqual(peer.texts(), [b"ping#1 ok"])

    def test_nothing_is_answered_before_the_log_in_is_done(self) -> None:
        self.hub.hold = True
        peer = Peer(self.hub)
        peer.say("send#1 x\r\n\r\ny", "ping#2")
        self.assertEqual(peer.written(), b"")
        self.assertEqual([type(command) for command in self.hub.done], [LogIn])
        self.hub.hold = False
        self.hub.release()
        head, rest = peer.answer()
        self.assertTrue(head.startswith("HTTP/1.1 101 "))
        self.assertEqual([f.payload for f in peer.reader.feed(rest)], [b"welcome alice", b"ping#2 ok"])
        self.assertEqual(type(self.hub.sends[0][1]), SendMessage)

    def test_reading_stops_while_too_much_waits(self) -> None:
        self.hub.hold = True
        peer = Peer(self.hub)
        peer.say("x" * 900)
        self.assertEqual(peer.transport.producerState, "producing")
        peer.say("x" * 900)
        self.assertEqual(peer.transport.producerState, "paused")
        self.hub.release()
        self.assertEqual(peer.transport.producerState, "producing")

    def test_refusals_are_http(self) -> None:
        for code, status in (
            (ErrorCode.AUTH_FAILED, 401),
            (ErrorCode.TOKEN_EXPIRED, 401),
            (ErrorCode.FORBIDDEN, 403),
            (ErrorCode.TOO_FAST, 429),
            (ErrorCode.UNAVAILABLE, 503),
            (ErrorCode.BAD_REQUEST, 400),
            (ErrorCode.NOT_FOUND, 500),
        ):
            self.hub.outcomes[LogIn] = ImError(code, "no")
            peer = Peer(self.hub)
            head, body = peer.answer()
            self.assertTrue(head.startswith(f"HTTP/1.1 {status} "), head)
            self.assertIn(f"\r\nContent-Length: {len(body)}", head)
            self.assertEqual("WWW-Authenticate: Bearer" in head, status == 401)
            self.assertEqual(
                json.loads(body),
                {"success": False, "code": status, "message": "no", "data": {"error_code": code.value}},
            )
            self.assertTrue(peer.transport.disconnecting)
            peer.say("send#1 x")
            self.assertEqual(peer.written(), b"")
        self.assertEqual(self.hub.attachments, [])

    def test_what_is_refused_without_asking_the_hub(self) -> None:
        peer = Peer(self.hub, "?x=y")
        head, body = peer.answer()
        self.assertTrue(head.startswith("HTTP/1.1 401 Unauthorized\r\n"))
        self.assertEqual(json.loads(body)["message"], "who are you?")
        self.assertEqual(self.hub.done, [])
        self.assertTrue(peer.transport.disconnecting)

    def test_a_fault_of_the_format_is_logged(self) -> None:
        peer = Peer(self.hub, headers="Authorization: crash\r\n")
        head, _ = peer.answer()
        self.assertTrue(head.startswith("HTTP/1.1 500 "))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_connection_lost_meanwhile_leaves_the_registry(self) -> None:
        self.hub.hold = True
        peer = Peer(self.hub)
        peer.protocol.connectionLost(Failure(ConnectionDone()))
        self.hub.release()
        self.assertEqual(self.hub.attachments[0].told, ["close"])
        self.assertEqual(peer.written(), b"")
        self.assertEqual((len(peer.doors), peer.doors.counter.total), (0, 0))

    def test_a_kick_meanwhile_writes_no_frame(self) -> None:
        self.hub.hold = True
        peer = Peer(self.hub)
        assert peer.protocol._link is not None
        peer.protocol._link.session.kicked(SessionKicked(KickReason.ACCOUNT, "disabled"))
        self.hub.release()
        self.assertEqual(self.hub.attachments[0].told, ["close"])
        self.assertEqual(peer.written(), b"")
        self.assertTrue(peer.transport.disconnecting)

    def test_no_ping_before_the_answer(self) -> None:
        self.hub.hold = True
        peer = Peer(self.hub)
        for _ in range(60):
            peer.clock.advance(1)
        self.assertEqual(peer.written(), b"")

    def test_logged_in_connections_are_no_strangers(self) -> None:
        peer = Peer(self.hub)
        self.assertEqual(peer.doors.counter.unauthenticated("192.0.2.1"), 0)
        peer = Peer(StubHub(), "?x=y")
        self.assertEqual(peer.doors.counter.unauthenticated("192.0.2.1"), 1)
        peer.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(peer.doors.counter.unauthenticated("192.0.2.1"), 0)

    def test_a_format_may_leave_the_log_in_for_later(self) -> None:
        peer = Peer(self.hub, "?user=nobody")
        head, rest = peer.answer()
        self.assertTrue(head.startswith("HTTP/1.1 101 "))
        self.assertEqual(rest, b"")
        peer.say("login#1 bob")
        self.assertEqual(peer.texts(), [b"login#1 bob"])

    def test_the_token_is_not_kept(self) -> None:
        peer = Peer(self.hub, "?user=alice&token=t0p5ecret", "Sec-WebSocket-Protocol: bearer, t0p5ecret\r\n")
        self.assertNotIn("t0p5ecret", repr(vars(peer.protocol)))


class Subprotocols(SynchronousTestCase):
    def test_the_chosen_one_decides_the_kind_of_message(self) -> None:
        peer = Peer(StubHub(), headers="Sec-WebSocket-Protocol: a, b\r\n")
        head, rest = peer.answer()
        self.assertIn("\r\nSec-WebSocket-Protocol: b", head)
        (frame,) = peer.reader.feed(rest)
        self.assertEqual(frame.opcode, BINARY)
        peer.say("ping#1", opcode=BINARY)
        self.assertEqual(peer.texts(), [b"ping#1 ok"])
        peer.say("ping#2")
        (frame,) = peer.heard()
        self.assertEqual((frame.opcode, frame.payload[:2]), (CLOSE, b"\x03\xeb"))


class Oversize(SynchronousTestCase):
    def test_is_skipped_and_answered_once(self) -> None:
        hub = StubHub()
        for pieces in (
            [encode_frame(TEXT, b"x" * 1001)],
            [encode_frame(TEXT, b"x" * 100_000)],
            [encode_frame(TEXT, b"x" * 600, fin=False), encode_frame(0, b"y" * 600, fin=False),
             encode_frame(0, b"z" * 600)],
        ):  # fmt: skip
            for step in (10**6, 1000, 333):
                peer = Peer(hub)
                peer.written()
                stream = b"".join(pieces) + encode_frame(TEXT, b"ping#1")
                for at in range(0, len(stream), step):
                    peer.feed(stream[at : at + step])
                self.assertEqual(peer.texts(), [b"refused TOO_LARGE", b"ping#1 ok"])

    def test_messages_without_an_end_take_no_memory(self) -> None:
        peer = Peer(StubHub())
        peer.written()
        peer.feed(encode_frame(TEXT, b"ping", fin=False))
        for _ in range(2000):
            peer.feed(encode_frame(0, b"", fin=False))
        self.assertLess(len(peer.protocol.message_data), 10)
        peer.feed(encode_frame(0, b"#1"))
        self.assertEqual(peer.texts(), [b"ping#1 ok"])

    def test_compressed_messages_without_an_end_are_refused(self) -> None:
        """What follows the end of the compressed data, or adds nothing to it, is never counted by zlib."""
        packer = zlib.compressobj(9, zlib.DEFLATED, -12)
        ended = packer.compress(b"ping#1") + packer.flush(zlib.Z_FINISH)
        offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        for first, more in ((ended, b"z" * 90), (b"", b"\0\0\0\xff\xff" * 18)):
            peer = Peer(StubHub(), headers=offer)
            self.assertIn("permessage-deflate", peer.answer()[0])
            peer.feed(encode_frame(TEXT, first, fin=False, rsv=4))
            for _ in range(1000 // 90):
                peer.feed(encode_frame(0, more, fin=False))
            self.assertEqual(peer.heard(), [])
            peer.feed(encode_frame(0, more, fin=False))
            (last,) = peer.heard()
            self.assertEqual((last.opcode, last.payload[:2]), (CLOSE, (1009).to_bytes(2, "big")))
        # As much, in messages that end, passes.
        peer = Peer(StubHub(), headers=offer)
        peer.answer()
        for _ in range(3):
            peer.feed(encode_frame(TEXT, ended + b"z" * 900, rsv=4))
        self.assertEqual(peer.texts(), [b"ping#1 ok"] * 3)

    def test_the_largest_message_passes(self) -> None:
        hub = StubHub()
        peer = Peer(hub)
        peer.written()
        peer.say("send#1 " + "x" * 993)
        self.assertEqual(len(hub.sends), 1)

    def test_text_that_is_not_utf8_closes(self) -> None:
        for bad in (b"\xff", b"ping#1 \xe4\xbd"):
            peer = Peer(StubHub())
            peer.written()
            peer.feed(encode_frame(TEXT, "ping#0 你好".encode()) + encode_frame(TEXT, bad))
            *answers, last = peer.heard()
            self.assertEqual([frame.payload for frame in answers], [b"ping#0 ok"])
            self.assertEqual((last.opcode, last.payload[:2]), (CLOSE, b"\x03\xef"))


class Acks(SynchronousTestCase):
    def test_the_kernel_counts_until_the_first_ack(self) -> None:
        hub = StubHub()
        peer = Peer(hub)
        assert peer.protocol._link is not None
        session = peer.protocol._link.session
        session.passed(3)
        session.delivered()
        self.assertEqual(hub.attachments[0].told, ["start", "passed 3", "delivered"])
        peer.say("ack#1 4")
        self.assertEqual(hub.done[-1], AckMessages(4))
        session.passed(4)
        session.delivered()
        self.assertEqual(hub.attachments[0].told, ["start", "passed 3", "delivered", "confirmed"])
