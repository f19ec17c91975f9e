"""Lines: one JSON object each, UTF-8, ended by a newline (document 004, §1.1).

The codec deals in lines without their newline; whoever owns the stream cuts
and joins them, with `LineBuffer` or in its own way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

import msgspec

from imserver.wire.jsonline.errors import ProtocolError, StatusCode
from imserver.wire.jsonline.messages import MsgBase

MAX_LINE: Final = 256 * 1024
"""Bytes of the longest line either side sends, without its newline (CONTRACT, Sizes)."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(MsgBase).decode


class Reader(Protocol):
    """A stream to read from, such as `asyncio.StreamReader`."""

    async def read(self, n: int, /) -> bytes:
        """At most n bytes; b"" at the end."""


class LineBuffer:
    """Cuts a byte stream into lines, holding at most one unfinished line.

    Args:
        limit: bytes of the longest line. A longer one is thrown away as it
            comes in, up to its newline.
    """

    __slots__ = ("_kept", "_limit", "_skipping")

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """Takes the next bytes.

        Returns:
            the lines now complete, in order, without newline and a carriage
            return before it; None in the place of each over-long one, as soon
            as it is known to be over-long. Blank lines (keep-alives) are left out.
        """
        lines: list[bytes | None] = []
        *pieces, rest = data.split(b"\n")
        for piece in pieces:
            if self._skipping:
                self._skipping = False
                continue
            if self._kept:
                self._kept += piece
                piece = bytes(self._kept)
                self._kept.clear()
            if piece.endswith(b"\r"):
                piece = piece[:-1]
            if len(piece) > self._limit:
                lines.append(None)
            elif not is_blank(piece):
                lines.append(piece)
        if not self._skipping:
            self._kept += rest
            # One byte more may be the carriage return that is cut off.
            if len(self._kept) > self._limit + 1:
                self._kept.clear()
                self._skipping = True
                lines.append(None)
        return lines


def is_blank(line: bytes) -> bool:
    """Whether a line is empty or white space only: a keep-alive without an answer."""
    return not line or line.isspace()


def encode_msg(message: MsgBase | dict[str, Any]) -> bytes:
    """The line that carries a message, with its newline."""
    return _encode(message) + b"\n"


def decode_msg(line: bytes) -> MsgBase:
    """Reads one line.

    Raises:
        ProtocolError: BAD_REQUEST if it is not a message in the envelope of §1.
    """
    try:
        line.decode()
        return _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as fault:
        raise ProtocolError(StatusCode.BAD_REQUEST, "the line is not a message") from fault


async def decode_stream(reader: Reader, *, limit: int = MAX_LINE) -> AsyncIterator[MsgBase]:
    """The messages of a stream, however its bytes were split or glued together.

    Raises:
        ProtocolError: BAD_REQUEST for a line that is no message, TOO_LARGE for an over-long one.
    """
    buffer = LineBuffer(limit)
    while data := await reader.read(65536):
        for line in buffer.feed(data):
            if line is None:
                raise ProtocolError(StatusCode.TOO_LARGE, "the line is too long")
            yield decode_msg(line)
