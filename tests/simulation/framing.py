"""The clients' framing, written by hand: JSON lines, WebSocket with masked frames, and lengths.

The server's side is the product's; these share nothing with it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

_HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: localhost:8081\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_MASK = b"\x11\x22\x33\x44"


class Framing(Protocol):
    """Cuts a client's bytes into frames and back."""

    def hello(self) -> bytes:
        """What to write when the connection is open."""

    def wrap(self, frame: bytes) -> bytes:
        """The bytes that carry a frame."""

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Takes bytes of the server.

        Returns:
            whole frames, and bytes that must be written back (pongs).
        """

    @property
    def ready(self) -> bool:
        """Whether frames may be sent."""

    @property
    def closing(self) -> bool:
        """Whether the server said that it will close."""


class LineFraming:
    """One JSON object a line."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.ready = True
        self.closing = False

    def hello(self) -> bytes:
        """See Framing."""
        return b""

    def wrap(self, frame: bytes) -> bytes:
        """See Framing."""
        return frame if frame.endswith(b"\n") else frame + b"\n"

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """See Framing."""
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        return [line for line in lines if line], b""


class WebSocketFraming:
    """RFC 6455 as a client needs it: unfragmented masked frames out, whatever comes in.

    Args:
        text: the frames are text.
    """

    def __init__(self, path: bytes = b"/ws", *, text: bool = False) -> None:
        self._path = path
        self._opcode = 1 if text else 2
        self._buffer = bytearray()
        self._message = bytearray()
        self.ready = False
        self.closing = False

    def hello(self) -> bytes:
        """See Framing."""
        return _HANDSHAKE % self._path

    def wrap(self, frame: bytes) -> bytes:
        """See Framing."""
        return self._frame(self._opcode, frame)

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """See Framing.

        Raises:
            ValueError: the server broke RFC 6455 or refused the upgrade.
        """
        buffer = self._buffer
        buffer += data
        if not self.ready:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return [], b""
            if not buffer.startswith(b"HTTP/1.1 101"):
                raise ValueError(f"no upgrade: {bytes(buffer[:end]).decode('latin-1')}")
            del buffer[: end + 4]
            self.ready = True
        frames: list[bytes] = []
        back: list[bytes] = []
        while (taken := self._take(frames, back.append)) > 0:
            del buffer[:taken]
        return frames, b"".join(back)

    def _take(self, frames: list[bytes], write: Callable[[bytes], None]) -> int:
        """Reads one frame; returns its length, 0 if it is not whole."""
        buffer = self._buffer
        if len(buffer) < 2:
            return 0
        head, size = buffer[0], buffer[1]
        start = 2
        if size & 0x80 or head & 0x70:
            raise ValueError("a masked or reserved frame from the server")
        if size == 126:
            start = 4
            if len(buffer) < start:
                return 0
            (size,) = struct.unpack_from("!H", buffer, 2)
        elif size == 127:
            start = 10
            if len(buffer) < start:
                return 0
            (size,) = struct.unpack_from("!Q", buffer, 2)
        if len(buffer) < start + size:
            return 0
        payload = bytes(buffer[start : start + size])
        opcode = head & 0x0F
        if opcode in (0, self._opcode):
            self._message += payload
            if head & 0x80:
                frames.append(bytes(self._message))
                self._message.clear()
        elif opcode == 8:
            self.closing = True
            write(self._frame(8, payload))
        elif opcode == 9:
            write(self._frame(10, payload))
        elif opcode != 10:
            raise ValueError(f"opcode {opcode} from the server")
        return start + size

    @staticmethod
    def _frame(opcode: int, payload: bytes) -> bytes:
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0xFF, size)
        if not size:
            return head + _MASK
        key = (_MASK * (size // 4 + 1))[:size]
        masked = (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)
        return head + _MASK + masked


class LengthFraming:
    """Document 000 with a length of two bytes before each message."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.ready = True
        self.closing = False

    def hello(self) -> bytes:
        """See Framing."""
        return b""

    def wrap(self, frame: bytes) -> bytes:
        """See Framing."""
        return struct.pack("!H", len(frame)) + frame

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """See Framing."""
        buffer = self._buffer
        buffer += data
        frames = []
        while len(buffer) >= 2:
            (size,) = struct.unpack_from("!H", buffer)
            if len(buffer) < 2 + size:
                break
            frames.append(bytes(buffer[2 : 2 + size]))
            del buffer[: 2 + size]
        return frames, b""
