"""The WebSocket under a client: what is written when one side has said goodbye."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from imserver.client.websocket import WebSocketLink

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
GOING_AWAY = b"\x88\x02\x03\xe9"


class Receiver:
    """Remembers what the link told it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def received(self, frame: bytes) -> None:
        self.told.append(frame.decode())

    def lost(self, reason: str) -> None:
        self.told.append("lost")


class Goodbye(SynchronousTestCase):
    """Between a close frame and the end of the connection."""

    def setUp(self) -> None:
        self.receiver = Receiver()
        factory: Any = WebSocketClientFactory("ws://127.0.0.1:1/", reactor=Clock())
        factory.setProtocolOptions(closeHandshakeTimeout=0, serverConnectionDropTimeout=0)
        factory.protocol = lambda: WebSocketLink(self.receiver, True)
        self.link: Any = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.link.makeConnection(self.transport)
        found = re.search(rb"(?i)sec-websocket-key: (\S+)", self.transport.value())
        assert found is not None
        accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())  # as RFC 6455 has it
        self.link.dataReceived(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self.successResultOf(self.link.opened)
        self.transport.clear()

    def test_before_it_frames_are_written(self) -> None:
        self.link.send(b"frame")
        self.assertEqual(self.transport.value()[:2], b"\x82\x85")

    def test_after_the_servers_frames_are_dropped(self) -> None:
        self.link.dataReceived(GOING_AWAY)
        self.transport.clear()
        self.link.send(b"frame")
        self.assertEqual(self.transport.value(), b"")

    def test_after_its_own_frames_are_dropped(self) -> None:
        self.link.close()
        self.transport.clear()
        self.link.send(b"frame")
        self.assertEqual(self.transport.value(), b"")
