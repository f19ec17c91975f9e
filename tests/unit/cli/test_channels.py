"""The blocking channels, against bytes written by hand."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.cli.channel import MAX_LINE, ChannelClosed, LineChannel
from imserver.cli.websocket import WebSocketChannel, masked
from imserver.wire.base import Upgrade

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class LineTests(SynchronousTestCase):
    def setUp(self) -> None:
        ours, self.server = socket.socketpair()
        ours.settimeout(10)
        self.addCleanup(self.server.close)
        self.channel = LineChannel(ours)
        self.addCleanup(self.channel.close)

    def test_lines_in_pieces(self) -> None:
        self.server.sendall(b"on")
        self.assertEqual(self.channel.receive(), [])
        self.server.sendall(b"e\n\ntwo\nthr")
        self.assertEqual(self.channel.receive(), [b"one", b"two"])
        self.server.sendall(b"ee\n")
        self.assertEqual(self.channel.receive(), [b"three"])
        self.channel.send(b"hello")
        self.assertEqual(self.server.recv(100), b"hello\n")

    def test_the_end_and_what_has_none(self) -> None:
        self.server.close()
        self.assertRaises(ChannelClosed, self.channel.receive)

    def test_a_line_without_end(self) -> None:
        self.channel._buffer.extend(bytes(MAX_LINE))
        self.server.sendall(b"x")
        self.assertRaises(ChannelClosed, self.channel.receive)


class WebSocketTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ours, self.server = socket.socketpair()
        self.ours.settimeout(10)
        self.server.settimeout(10)
        self.addCleanup(self.server.close)
        self.addCleanup(self.ours.close)
        self.head = b""

    def shake(self, answer: bytes | None = None, behind: bytes = b"", **upgrade: Any) -> WebSocketChannel:
        """A channel whose server answers so (default: rightly)."""

        def serve() -> None:
            while not self.head.endswith(b"\r\n\r\n"):
                self.head += self.server.recv(1000)
            key = self.head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            right = b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: " + accept + b"\r\n\r\n"
            self.server.sendall((right if answer is None else answer) + behind)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return WebSocketChannel(self.ours, "h:1", "/ws", Upgrade(**upgrade), binary=True)
        finally:
            thread.join()

    def test_handshake(self) -> None:
        self.shake(query={"device": ["a b&c"]}, authorization="Bearer t", subprotocols=("x", "y"))
        lines = self.head.decode().split("\r\n")
        self.assertEqual(lines[0], "GET /ws?device=a+b%26c HTTP/1.1")
        for line in ("Host: h:1", "Authorization: Bearer t", "Sec-WebSocket-Protocol: x, y"):
            self.assertIn(line, lines)

    def test_refused_handshakes(self) -> None:
        for answer, word in (
            (b"HTTP/1.1 401 Unauthorized\r\n\r\nno", "401 Unauthorized"),
            (b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: wrong\r\n\r\n", "wrong"),
            (b"nonsense\r\n\r\n", "no HTTP answer"),
            (b"x" * 20_000, "no WebSocket server"),
        ):
            self.head = b""
            with self.assertRaises(ChannelClosed) as caught:
                self.shake(answer)
            self.assertIn(word, str(caught.exception))

    def test_frames_that_come_with_the_handshake_or_in_pieces(self) -> None:
        channel = self.shake(behind=b"\x82\x03one\x02\x02tw\x89\x01!\x80\x01o")
        self.assertEqual(channel.receive(), [b"one", b"two"])
        pong = self.server.recv(100)
        self.assertEqual((pong[0], masked(pong[6:], pong[2:6])), (0x8A, b"!"))
        long = b"x" * 70_000
        frame = b"\x82\x7f" + struct.pack("!Q", len(long)) + long
        self.server.sendall(frame[:9])
        self.assertEqual(channel.receive(), [])
        self.server.sendall(frame[9:])
        found: list[bytes] = []
        while not found:
            found = channel.receive()
        self.assertEqual(found, [long])

    def test_sent_frames_are_masked(self) -> None:
        channel = self.shake()
        for size in (0, 1, 125, 126, 5000, 65_535, 65_536):
            payload = bytes(n % 251 for n in range(size))
            channel.send(payload)
            expected = size + 6 + (0 if size < 126 else 2 if size < 65_536 else 8)
            data = b""
            while len(data) < expected:
                data += self.server.recv(100_000)
            self.assertEqual((data[0], bool(data[1] & 0x80)), (0x82, True))
            start = expected - size
            unmasked = bytes(b ^ data[start - 4 + n % 4] for n, b in enumerate(data[start:]))
            self.assertEqual(unmasked, payload)

    def test_closing(self) -> None:
        channel = self.shake(behind=b"\x88\x06" + struct.pack("!H", 4001) + b"late")
        with self.assertRaises(ChannelClosed) as caught:
            channel.receive()
        self.assertIn("4001 late", str(caught.exception))
        channel.close()
        self.assertEqual(self.server.recv(100)[0], 0x88)

    def test_servers_that_break_the_protocol(self) -> None:
        for frame in (
            b"\x82\x81abcdx",
            b"\xc2\x01x",
            b"\x80\x01x",
            b"\x82\x7f" + b"\xff" * 8,
            b"\x02\x01a\x02\x01b",
        ):
            self.setUp()
            channel = self.shake(behind=frame)
            self.assertRaises(ChannelClosed, channel.receive)
