"""The file channel of document 004's dialect chat-app, in both roles.

It begins with one line of JSON, {session_id, role, user_id}; from then on u8 type, u32
little-endian length, payload.

====  ======  =====================================
0x01  DATA    bytes of the file
0x02  END     that was all; a payload is passed on
0x03  FAILED  it does not work; the payload says why
====  ======  =====================================

docs/wire/chat-app.md describes the conversation.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

import msgspec
from msgspec import Struct

from imserver.model.errors import ErrorCode
from imserver.model.file_relays import RelayRole
from imserver.wire.base import WireError

FIRST_BYTE: Final = b"{"
"""How a channel of this kind begins, and one of the draft never does."""
MAX_HELLO: Final = 4096
"""Bytes of the longest first line."""
MAX_DATA: Final = 16 * 1024 * 1024
"""Bytes of the longest DATA; it is passed on in pieces."""
MAX_WORDS: Final = 4096
"""Bytes of the payload of END and FAILED."""

_HEAD: Final = struct.Struct("<BI")
_unpack: Final = _HEAD.unpack_from
_encode: Final = msgspec.json.Encoder().encode


class FrameType(enum.IntEnum):
    """The first byte of a frame."""

    DATA = 1
    END = 2
    FAILED = 3


_DATA: Final = FrameType.DATA.value
_WHOLE: Final = (FrameType.END.value, FrameType.FAILED.value)


class RelayHello(Struct, frozen=True, gc=False):
    """The first line: which file, which end of it, and who."""

    relay: str
    role: RelayRole
    user: str


class Piece(Struct, frozen=True, gc=False):
    """Bytes as they came: an END or FAILED, whole, or DATA, of one frame or of many.

    Attributes:
        raw: with the heads.
        count: bytes of the payload among them.
    """

    type: FrameType
    raw: bytes
    count: int


class _Line(Struct):
    session_id: str
    role: str
    user_id: str | int = ""


_decode: Final = msgspec.json.Decoder(_Line).decode


def _bad(text: str) -> WireError:
    return WireError(ErrorCode.BAD_REQUEST, text, fatal=True)


def hello_line(hello: RelayHello) -> bytes:
    """The first line, with its newline."""
    return _encode({"session_id": hello.relay, "role": hello.role.value, "user_id": hello.user}) + b"\n"


def read_hello(line: bytes) -> RelayHello:
    """Reads the first line.

    Raises:
        WireError: it is none.
    """
    try:
        line.decode()
        found = _decode(line)
        return RelayHello(found.session_id, RelayRole(found.role), str(found.user_id))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _bad("the first line must be {session_id, role, user_id}") from None


def frame(type: FrameType, payload: bytes = b"") -> bytes:
    """A frame."""
    return _HEAD.pack(type, len(payload)) + payload


def failed(reason: str) -> bytes:
    """FAILED with its reason."""
    return frame(FrameType.FAILED, reason.encode("utf-8", "replace")[:MAX_WORDS])


class HelloBuffer:
    """Takes the first line of a stream; holds at most so many bytes of it."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> tuple[RelayHello, bytes] | None:
        """(the first line, what comes after it); None while it is not whole.

        Raises:
            WireError: it is too long, or none.
        """
        line, end, rest = (self._kept + data).partition(b"\n")
        if len(line) > MAX_HELLO:
            raise _bad("the first line is too long")
        if not end:
            self._kept = line
            return None
        self._kept = b""
        return read_hello(line), rest


class RelayFrames:
    """Cuts what follows into pieces, without keeping any of the file."""

    __slots__ = ("_kept", "_left")

    def __init__(self) -> None:
        self._kept = b""  # of a head, or of END or FAILED
        self._left = 0  # bytes of the current DATA that are still to come

    @property
    def inside(self) -> bool:
        """Whether a DATA has begun that is not whole."""
        return self._left > 0

    def feed(self, data: bytes) -> list[Piece]:
        """Takes the next bytes.

        Raises:
            WireError: an unknown type, or a frame that is too long.
        """
        pieces: list[Piece] = []
        if self._kept:
            data = self._kept + data
            self._kept = b""
        at, size = 0, len(data)
        begun = count = 0  # where a row of DATA began, and how much of the file it has
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                count += step
                at += step
                continue
            if size - at < 5:
                break
            type, length = _unpack(data, at)
            if type == _DATA:
                if length > MAX_DATA:
                    raise _bad("a frame is too long")
                self._left = length
                at += 5
                continue
            if type not in _WHOLE:
                raise _bad("a frame of an unknown type")
            if length > MAX_WORDS:
                raise _bad("a frame is too long")
            end = at + 5 + length
            if end > size:
                break
            if at > begun:
                pieces.append(Piece(FrameType.DATA, data[begun:at], count))
            pieces.append(Piece(FrameType(type), data[at:end], length))
            at = begun = end
            count = 0
        if at > begun:
            pieces.append(Piece(FrameType.DATA, data[begun:at], count))
        self._kept = data[at:]
        return pieces


def words_of(piece: Piece) -> str:
    """The payload of FAILED as text."""
    return piece.raw[_HEAD.size :].decode("utf-8", "replace")


__all__ = [
    "FIRST_BYTE",
    "MAX_DATA",
    "MAX_HELLO",
    "MAX_WORDS",
    "FrameType",
    "HelloBuffer",
    "Piece",
    "RelayFrames",
    "RelayHello",
    "failed",
    "frame",
    "hello_line",
    "read_hello",
    "words_of",
]
