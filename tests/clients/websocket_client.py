"""A WebSocket client (RFC 6455) written out by hand, for tests of imserver's listeners.

Knows neither imserver nor a WebSocket library. It is strict about what a server
may send, and lets a test send anything at all: single frames, wrong masks, raw bytes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HandshakeRefused(Exception):
    """The server answered the upgrade with something else than a right 101."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body


class ServerViolation(Exception):
    """The server broke RFC 6455."""


@dataclass(frozen=True)
class Frame:
    """One frame as it came."""

    fin: bool
    rsv: int
    opcode: int
    payload: bytes


@dataclass(frozen=True)
class Closed:
    """How a connection ended.

    Attributes:
        code: the server's close code; None if it sent no close frame, 1005 for one without a code.
        clean: the close frame came and the connection ended without a reset.
    """

    code: int | None
    reason: str
    clean: bool


def mask_bytes(payload: bytes, key: bytes) -> bytes:
    """XOR with the four bytes of the key, repeated."""
    if not payload:
        return b""
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return mixed.to_bytes(len(payload), "big")


def encode_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"",
    length_bytes: int | None = None,
) -> bytes:
    """One frame. `mask` None = unmasked, b"" = a fresh key; `length_bytes` 0, 2 or 8 forces a length form."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    length = len(payload)
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 65536 else 8
    bit = 0 if mask is None else 0x80
    if length_bytes == 0:
        head = struct.pack("!BB", first, bit | length)
    elif length_bytes == 2:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    if mask is None:
        return head + payload
    key = mask or os.urandom(4)
    return head + key + mask_bytes(payload, key)


def close_payload(code: int, reason: str = "") -> bytes:
    """The payload of a close frame."""
    return struct.pack("!H", code) + reason.encode()


class FrameReader:
    """Cuts a server's bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now.

        Raises:
            ServerViolation: a masked frame, a length not in its shortest form, a bad control frame.
        """
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        fin, rsv, opcode = bool(buffer[0] & 0x80), buffer[0] >> 4 & 7, buffer[0] & 15
        if buffer[1] & 0x80:
            raise ServerViolation("a masked frame from the server")
        length = buffer[1] & 0x7F
        start = 2
        if length == 126:
            if len(buffer) < 4:
                return None
            (length,) = struct.unpack_from("!H", buffer, 2)
            start, least = 4, 126
        elif length == 127:
            if len(buffer) < 10:
                return None
            (length,) = struct.unpack_from("!Q", buffer, 2)
            start, least = 10, 65536
        else:
            least = 0
        if length < least:
            raise ServerViolation("a length that is not in its shortest form")
        if opcode >= 8 and (not fin or length > 125):
            raise ServerViolation("a fragmented or over-long control frame")
        if len(buffer) < start + length:
            return None
        payload = bytes(buffer[start : start + length])
        del buffer[: start + length]
        return Frame(fin, rsv, opcode, payload)


Client = TypeVar("Client", bound="WebSocketClient")


class WebSocketClient(Protocol):
    """One connection.

    Attributes:
        opened: fires once the handshake is done; fails with HandshakeRefused.
        closed: fires with a `Closed` when the connection is gone; fails with
            ServerViolation if the server broke the protocol.
        pongs: payloads of the pongs received.
        pings: payloads of the pings received.
        answer_pings: answer them (default); a test may want to be dead.
        answer_close: echo the server's close frame (default).
    """

    transport: ITCPTransport

    def __init__(
        self,
        path: str = "/ws",
        host: str = "127.0.0.1",
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.host = host
        self.headers = list(headers)
        self.subprotocols = subprotocols
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[Closed] = Deferred()
        self.response_headers: dict[str, str] = {}
        self.pongs: list[bytes] = []
        self.pings: list[bytes] = []
        self.answer_pings = True
        self.answer_close = True
        self._key = base64.b64encode(os.urandom(16))
        self._head: bytearray | None = bytearray()
        self._reader = FrameReader()
        self._fragments: list[bytes] = []
        self._fragments_opcode: int | None = None
        self._refused = False
        self._close_sent = False
        self._close_received: tuple[int, str] | None = None
        self._violation: Exception | None = None
        self._messages: deque[tuple[int, bytes]] = deque()
        self._waiters: deque[Deferred[tuple[int, bytes]]] = deque()

    # What a test does

    def send_binary(self, payload: bytes) -> None:
        """A binary message in one frame."""
        self.send_frame(BINARY, payload)

    def send_text(self, text: str) -> None:
        """A text message in one frame."""
        self.send_frame(TEXT, text.encode())

    def send_frame(self, opcode: int, payload: bytes = b"", **form: Any) -> None:
        """One frame of any shape; `form` as in `encode_frame`."""
        self.transport.write(encode_frame(opcode, payload, **form))

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.transport.write(data)

    def close(self, code: int = 1000, reason: str = "") -> Deferred[Closed]:
        """Begin the closing handshake; returns `closed`."""
        if not self._close_sent:
            self._close_sent = True
            self.send_frame(CLOSE, close_payload(code, reason))
        return self.closed

    def abort(self) -> None:
        """Drop the connection with a reset."""
        self.transport.abortConnection()

    def pause(self) -> None:
        """Stop reading: the server's bytes pile up."""
        self.transport.pauseProducing()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Read again."""
        self.transport.resumeProducing()  # type: ignore[attr-defined]

    def next_message(self) -> Deferred[tuple[int, bytes]]:
        """The next (opcode, payload) that nobody took yet. Fails with ConnectionLost at the end."""
        waiter: Deferred[tuple[int, bytes]] = Deferred()
        if self._messages:
            waiter.callback(self._messages.popleft())
        elif self.closed.called:
            waiter.errback(Failure(ConnectionLost()))
        else:
            self._waiters.append(waiter)
        return waiter

    def message_received(self, opcode: int, payload: bytes) -> None:
        """A whole message came; subclasses override it."""
        if self._waiters:
            self._waiters.popleft().callback((opcode, payload))
        else:
            self._messages.append((opcode, payload))

    def connection_ended(self) -> None:
        """The connection is gone; subclasses may add to it."""
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            waiter.errback(Failure(ConnectionLost()))

    # Handshake

    def connectionMade(self) -> None:
        """Sends the upgrade request."""
        lines = [
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self._key.decode()}",
            "Sec-WebSocket-Version: 13",
        ]
        if self.subprotocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(self.subprotocols)}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    def _handshake_received(self, data: bytes) -> bytes:
        assert self._head is not None
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        head, rest = bytes(self._head[:end]), bytes(self._head[end + 4 :])
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split(" ")[1])
        parted = [line.partition(":") for line in lines]
        headers = {name.strip().lower(): value.strip() for name, _, value in parted}
        accept = base64.b64encode(hashlib.sha1(self._key + GUID).digest()).decode()
        right = (
            status == 101
            and headers.get("upgrade", "").lower() == "websocket"
            and "upgrade" in headers.get("connection", "").lower()
            and headers.get("sec-websocket-accept") == accept
        )
        self.response_headers = headers
        self._head = None
        if right:
            self.opened.callback(None)
            return rest
        self._refused = True
        self.opened.errback(Failure(HandshakeRefused(status, headers, rest)))
        self.transport.loseConnection()
        return b""

    # Frames

    def dataReceived(self, data: bytes) -> None:
        """Twisted: bytes came."""
        if self._violation is not None or self._refused:
            return
        if self._head is not None:
            data = self._handshake_received(data)
        try:
            for frame in self._reader.feed(data):
                self._frame_received(frame)
        except ServerViolation as violation:
            self._violation = violation
            self.transport.abortConnection()

    def _frame_received(self, frame: Frame) -> None:
        if self._close_received is not None:
            raise ServerViolation("a frame after the close frame")
        if frame.rsv:
            raise ServerViolation("a reserved bit without an extension")
        if frame.opcode == PING:
            self.pings.append(frame.payload)
            if self.answer_pings:
                self.send_frame(PONG, frame.payload)
        elif frame.opcode == PONG:
            self.pongs.append(frame.payload)
        elif frame.opcode == CLOSE:
            self._close_frame(frame.payload)
        elif frame.opcode in (TEXT, BINARY):
            if self._fragments_opcode is not None:
                raise ServerViolation("a new message inside a fragmented one")
            self._fragment(frame, frame.opcode)
        elif frame.opcode == CONTINUATION:
            if self._fragments_opcode is None:
                raise ServerViolation("a continuation of nothing")
            self._fragment(frame, self._fragments_opcode)
        else:
            raise ServerViolation("a reserved opcode")

    def _fragment(self, frame: Frame, opcode: int) -> None:
        self._fragments_opcode = opcode
        self._fragments.append(frame.payload)
        if not frame.fin:
            return
        payload = b"".join(self._fragments)
        self._fragments.clear()
        self._fragments_opcode = None
        if opcode == TEXT:
            try:
                payload.decode()
            except UnicodeDecodeError:
                raise ServerViolation("a text that is not UTF-8") from None
        self.message_received(opcode, payload)

    def _close_frame(self, payload: bytes) -> None:
        if len(payload) == 1:
            raise ServerViolation("a close frame with one byte")
        code = struct.unpack_from("!H", payload)[0] if payload else 1005
        self._close_received = (code, payload[2:].decode())
        if self.answer_close and not self._close_sent:
            self._close_sent = True
            self.send_frame(CLOSE, payload[:2])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: the connection is gone."""
        if not self.opened.called:
            self.opened.errback(Failure(ConnectionLost("before the handshake was answered")))
        if self._violation is not None:
            self.closed.errback(Failure(self._violation))
        else:
            code, text = self._close_received or (None, "")
            clean = reason.check(ConnectionDone) is not None and code is not None
            self.closed.callback(Closed(code, text, clean))
        self.connection_ended()


async def connect(endpoint: IStreamClientEndpoint, client: Client) -> Client:
    """Connects and shakes hands.

    Raises:
        HandshakeRefused: the server did not upgrade.
    """
    await connectProtocol(endpoint, client)
    await client.opened
    return client


async def connect_tcp(reactor: Any, port: int, client: Client, host: str = "127.0.0.1") -> Client:
    """`connect` over plain TCP."""
    return await connect(TCP4ClientEndpoint(reactor, host, port, timeout=10), client)
