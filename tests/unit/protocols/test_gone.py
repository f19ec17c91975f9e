"""A lost connection is freed at once: nothing of it is left, for the collector of cycles or for good."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from benchmarks.speakers import frame
from imserver.config import Listener
from imserver.model.errors import ErrorCode, ImError
from imserver.protocols.doors import NEWCOMERS_PER_TURN, Doors
from imserver.protocols.session import Session
from imserver.services.delivery import Delivery
from imserver.tap.wiring import listener_factory
from tests.clients.protobuf_client import COMMANDS, encode, encode_envelope
from tests.clients.qdatastream_client import qstring, utf8
from tests.clients.websocket_client import encode_frame
from tests.unit.left_over import ROUNDS, left_over
from tests.unit.services.hub_world import HubCase

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HTTP = {"format": "http", "endpoint": "tcp:0", "paths": {"/ws": "protobuf"}}


class Lost(HubCase):
    left_over = staticmethod(left_over)

    def setUp(self) -> None:
        super().setUp()
        hub: Any = self.hub
        self.doors = Doors(hub, self.clock)

    def come(self, listener: dict[str, Any], *sent: bytes) -> StringTransport:
        """A connection on which that was sent, piece by piece."""
        factory: Any = listener_factory(Listener(**listener), self.doors, demo=False)
        address = IPv4Address("TCP", "127.0.0.1", 1)
        transport: Any = StringTransport(address, address)
        transport.protocol = factory.buildProtocol(address)
        transport.protocol.makeConnection(transport)
        for data in sent:
            transport.protocol.dataReceived(data)
            self.settle()
        return transport  # type: ignore[no-any-return]

    def go(self, transport: Any) -> None:
        """It is lost."""
        protocol, transport.protocol = transport.protocol, None
        if IHalfCloseableProtocol.providedBy(protocol):
            protocol.readConnectionLost()
            self.settle()
        transport.producer = None
        protocol.connectionLost(Failure(ConnectionDone()))
        self.settle()

    def visit(self, listener: dict[str, Any], *sent: bytes) -> Callable[[], None]:
        def visit() -> None:
            transport = self.come(listener, *sent)
            self.assertEqual(len(self.hub.registry.of("alice")), 1)
            self.go(transport)
            self.assertEqual((len(self.hub.registry.of("alice")), len(self.doors)), (0, 0))

        return visit

    def test_jsonline(self) -> None:
        log_in = {"id": "l", "command": "auth/login", "payload": {"token": "demo_token_alice"}}
        visit = self.visit({"format": "jsonline", "endpoint": "tcp:0"}, json.dumps(log_in).encode() + b"\n")
        self.assertEqual(self.left_over(visit), {})

    def test_protobuf(self) -> None:
        body = encode("AUTH_REQ", user_id="alice", token="demo_token_alice", platform="p")
        log_in = frame(encode_envelope(COMMANDS["AUTH_REQ"], 1, body))
        self.assertEqual(self.left_over(self.visit(HTTP, UPGRADE, log_in)), {})

    def test_frames_that_are_refused(self) -> None:
        log_in = {"id": "l", "command": "auth/login", "payload": {"token": "demo_token_alice"}}
        lines = [json.dumps(log_in).encode(), b"x" * 1_000_000, b"\xff", b"[]", b'{"command":"message/send"}']

        def visit() -> None:
            transport = self.come(
                {"format": "jsonline", "endpoint": "tcp:0"}, *(one + b"\n" for one in lines)
            )
            self.assertGreater(transport.value().count(b'"status":4'), 3)
            self.go(transport)

        self.assertEqual(self.left_over(visit), {})

        def too_much() -> None:
            head = bytes((0x82, 0xFF)) + (1_000_000).to_bytes(8, "big") + bytes(4)
            self.go(self.come(HTTP, UPGRADE, head + b"x" * 1_000_000))

        self.assertEqual(self.left_over(too_much), {})
        self.assertEqual(self.left_over(lambda: self.go(self.come(HTTP, UPGRADE, frame(b"\xff\xff")))), {})

    def test_commands_that_are_refused(self) -> None:
        to = {"type": "user", "id": "nobody"}
        content = {"type": "text", "text": "x"}
        refused: list[tuple[str, str, dict[str, Any]]] = [
            ("USER_NOT_FOUND", "message/send", {"target": to, "content": content}),
            (
                "CONVERSATION_NOT_FOUND",
                "message/send",
                {"target": {**to, "type": "group"}, "content": content},
            ),
            ("TOO_LARGE", "message/send", {"target": to, "content": {**content, "text": "x" * 70_000}}),
            ("USER_NOT_FOUND", "message/typing", {"target": to, "typing": True}),
            ("BAD_REQUEST", "message/typing", {"conversation_id": "a" * 600, "typing": True}),
            ("CONVERSATION_NOT_FOUND", "message/history", {"conversation_id": "single_alice_nobody"}),
            ("NOT_FOUND", "message/revoke", {"message_id": "0" * 28}),
            ("NOT_FOUND", "message/read", {"message_ids": ["0" * 28]}),
            ("NOT_FOUND", "group/join", {"group_id": "none"}),
            ("CONFLICT", "group/create", {"group_id": "taken", "members": []}),
            ("USER_NOT_FOUND", "group/create", {"group_id": "new", "members": ["nobody"]}),
            ("USER_NOT_FOUND", "friend/request", {"user_id": "nobody"}),
            ("NOT_FOUND", "friend/accept", {"user_id": "bob"}),
            ("AUTH_FAILED", "auth/refresh", {"refresh_token": "x"}),
        ]
        log_in = {"id": "l", "command": "auth/login", "payload": {"token": "demo_token_alice"}}
        create = {"id": "1", "command": "group/create", "payload": {"group_id": "taken", "members": []}}
        bob = {**log_in, "payload": {"token": "demo_token_bob"}}
        for before in ([log_in, create], [bob]):
            said = [json.dumps(line).encode() + b"\n" for line in before]
            self.go(self.come({"format": "jsonline", "endpoint": "tcp:0"}, *said))
        for error, command, payload in refused:
            lines = [log_in, {"id": "1", "command": command, "payload": payload}]
            sent = [json.dumps(line).encode() + b"\n" for line in lines]

            def visit(sent: list[bytes] = sent, error: str = error) -> None:
                transport = self.come({"format": "jsonline", "endpoint": "tcp:0"}, *sent)
                self.assertIn(b'"error":"%b"' % error.encode(), transport.value())
                self.go(transport)
                self.clock.advance(1_000)

            self.assertEqual(self.left_over(visit), {}, command)

    def test_sends_that_are_refused(self) -> None:
        body = encode("AUTH_REQ", user_id="alice", token="demo_token_alice", platform="p")
        log_in = frame(encode_envelope(COMMANDS["AUTH_REQ"], 1, body))
        body = encode(
            "SEND_MSG_REQ", receiver_id="nobody", message_type=1, content=b"x", client_msg_id="1", send_time=1
        )
        send = frame(encode_envelope(COMMANDS["SEND_MSG_REQ"], 2, body))
        signals = {"format": "http", "endpoint": "tcp:0", "paths": {"/signal": "signalling"}}
        upgrade = UPGRADE.replace(b"/ws", b"/signal?token=demo_token_alice")
        payload = {"to_user": "nobody", "content": "x", "message_type": "text"}
        signal = encode_frame(1, json.dumps({"type": "message.send", "payload": payload, "id": "1"}).encode())
        messages = {"format": "qdatastream", "endpoint": "tcp:0", "framing": "none", "auth": "none"}
        begin, text = b"\x07" + utf8("alice"), b"\x00" + qstring("nobody") + qstring("x")
        cases: list[tuple[dict[str, Any], list[bytes]]] = [
            (HTTP, [UPGRADE, log_in, send]),
            (signals, [upgrade, signal]),
            (messages, [begin, text]),
            (messages, [begin, text + b"\xff" * 9]),  # and is closed before it is decided
        ]
        refused = 0
        answered = Delivery.answered

        def count(delivery: Delivery, tickets: Sequence[Any], outcomes: Sequence[Any]) -> None:
            nonlocal refused
            refused += sum(isinstance(outcome, ImError) for outcome in outcomes)
            answered(delivery, tickets, outcomes)

        self.patch(Delivery, "answered", count)
        for listener, sent in cases:
            visit = lambda listener=listener, sent=sent: self.go(self.come(listener, *sent))  # noqa: E731
            refused = 0
            self.assertEqual(self.left_over(visit), {}, sent)
            self.assertEqual(refused, ROUNDS + 1, sent)

    def test_qdatastream(self) -> None:
        for framing in ("int16", "none"):
            first = b"\x07" + utf8("alice")
            sent = first if framing == "none" else len(first).to_bytes(2, "big") + first
            listener = {"format": "qdatastream", "endpoint": "tcp:0", "framing": framing, "auth": "none"}
            self.assertEqual(self.left_over(self.visit(listener, sent)), {}, framing)

    def test_qdatastream_that_is_none(self) -> None:
        wrong = b"\x0a" + utf8("alice")
        cases: dict[str, list[bytes]] = {
            "int16": [len(wrong).to_bytes(2, "big") + wrong, b"\xff\xf0" + wrong],
            "none": [wrong],
        }
        for framing, all_sent in cases.items():
            listener = {"format": "qdatastream", "endpoint": "tcp:0", "framing": framing, "auth": "none"}
            for sent in all_sent:
                visit = lambda listener=listener, sent=sent: self.go(self.come(listener, sent))  # noqa: E731
                self.assertEqual(self.left_over(visit), {}, sent)

    def test_a_log_in_by_handshake_that_is_refused(self) -> None:
        listener = {"format": "http", "endpoint": "tcp:0", "paths": {"/signal": "signalling"}}
        request = UPGRADE.replace(b"/ws", b"/signal?token=nonsense")

        def visit() -> None:
            transport = self.come(listener, request)
            self.assertIn(b" 401 ", transport.value())
            self.go(transport)

        self.assertEqual(self.left_over(visit), {})

    def test_a_log_in_by_handshake_that_is_refused_for_something_else(self) -> None:
        listener = {"format": "http", "endpoint": "tcp:0", "paths": {"/signal": "signalling"}}
        request = UPGRADE.replace(b"/ws", b"/signal?token=nonsense")

        async def log_in(session: Session, command: Any) -> Any:
            try:
                raise KeyError
            except KeyError as error:
                raise ImError(ErrorCode.AUTH_FAILED, "no") from error

        def visit() -> None:
            transport = self.come(listener, request)
            self.assertIn(b" 401 ", transport.value())
            self.go(transport)

        self.patch(Session, "log_in", log_in)
        self.assertEqual(self.left_over(visit), {})

    def test_the_request_of_a_handshake(self) -> None:
        kept = []

        def visit() -> None:
            kept.append(self.come(HTTP, UPGRADE))

        self.assertEqual(self.left_over(visit), {})

    def test_a_handshake_that_is_refused(self) -> None:
        other = UPGRADE.replace(b"Version: 13", b"Version: 99")
        self.assertEqual(self.left_over(lambda: self.go(self.come(HTTP, other))), {})

    def test_what_is_still_heard_out(self) -> None:
        log_in = {"id": "l", "command": "auth/login", "payload": {"token": "demo_token_alice"}}

        def visit() -> None:
            crowd: list[Any] = [
                self.come({"format": "jsonline", "endpoint": "tcp:0"}) for _ in range(NEWCOMERS_PER_TURN + 1)
            ]
            for transport in crowd:
                transport.protocol.dataReceived(json.dumps(log_in).encode() + b"\n")
                transport.protocol.readConnectionLost()
                transport.producer = None
                transport.protocol.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(len(self.doors.gate), 1)  # the last one's turn has not come
            for transport in crowd:
                transport.protocol = None
            self.settle()
            self.assertEqual(len(self.hub.registry.of("alice")), 0)

        self.assertEqual(self.left_over(visit), {})
