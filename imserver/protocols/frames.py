"""Frames as bytes: lines, and those of WebSocket (RFC 6455, 5.2) that are handled without Autobahn.

The latter are whole messages in one frame.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, Protocol

from autobahn.websocket.xormasker import create_xor_masker  # type: ignore[attr-defined]

TEXT: Final = 0x81
BINARY: Final = 0x82
"""First bytes of frames that are whole messages."""
COMPRESSED: Final = 0x40
"""In the first byte: the payload is deflated (RFC 7692, 6)."""

# The call into NVX costs 5 us; one long integer of this many bytes costs less.
_UNMASK_IN_C_FROM = 800
_number = int.from_bytes  # looked up twice a frame
_HEADS: Final = {
    first: tuple(bytes((first, length)) for length in range(126))
    for first in (TEXT, BINARY, TEXT | COMPRESSED, BINARY | COMPRESSED)
}
_PACK_16 = struct.Struct("!BBH").pack
_PACK_64 = struct.Struct("!BBQ").pack


class Closing(Protocol):
    """Says whether anything more is wanted: a link."""

    closing: bool


def whole_frame(first_byte: int, payload: bytes) -> bytes:
    """A server's frame, which carries no mask."""
    length = len(payload)
    if length < 126:
        return _HEADS[first_byte][length] + payload
    if length < 0x10000:
        return _PACK_16(first_byte, 126, length) + payload
    return _PACK_64(first_byte, 127, length) + payload


def whole_text(payload: bytes) -> bytes:
    """A server's text message."""
    return whole_frame(TEXT, payload)


def whole_binary(payload: bytes) -> bytes:
    """A server's binary message."""
    return whole_frame(BINARY, payload)


def whole_line(payload: bytes) -> bytes:
    """A frame that ends with a line feed (document 004, 1.1); most come with it."""
    return payload if payload[-1:] == b"\n" else payload + b"\n"


def take_lines(
    link: Closing,
    received: Callable[[bytes], None],
    unusual: Callable[[bytes], None],
    lines: list[bytes],
    limit: int,
) -> None:
    """Takes lines without their ends.

    Args:
        received: takes those that look like objects, nearly all; none while the link is closing.
        unusual: takes the others, and looks itself whether the link is.
        limit: bytes of the longest line.
    """
    for line in lines:
        if line[-1:] == b"}" and len(line) <= limit:
            if link.closing:
                return
            received(line)
        else:
            unusual(line)


def unmask(key: bytes, payload: bytes) -> bytes:
    """The payload of a client's frame (5.3); masking and unmasking are the same."""
    length = len(payload)
    if length > _UNMASK_IN_C_FROM:
        unmasked: bytes = create_xor_masker(key, length).process(payload)
        return unmasked
    pad = (key * (length // 4 + 1))[:length]
    return (_number(payload, "little") ^ _number(pad, "little")).to_bytes(length, "little")


def is_utf8(payload: bytes) -> bool:
    """Whether a text message is one (8.1)."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def take_messages(
    link: Closing, received: Callable[[bytes], None], data: bytes, first_byte: int, limit: int
) -> bytes:
    """Takes whole, unfragmented messages off the front: nearly all that ever comes.

    Autobahn's general state machine costs several times as much per message.
    Whatever is unusual, wrong or not complete is left to it, and returned.

    Args:
        received: takes a whole message. From then on the link may be closing, and no more is taken.
        first_byte: TEXT or BINARY.
        limit: bytes of the longest message.
    """
    position, end = 0, len(data)
    binary = first_byte == BINARY
    while end - position >= 6 and data[position] == first_byte:
        length = data[position + 1] - 0x80
        if length < 0 or length == 127:
            break
        start = position + 6
        if length == 126:
            start += 2
            length = data[position + 2] << 8 | data[position + 3]
            if length < 126:
                break
        if start + length > end or length > limit:
            break
        payload = unmask(data[start - 4 : start], data[start : start + length])
        if not (binary or is_utf8(payload)):
            break
        position = start + length
        received(payload)
        if link.closing:
            return b""
    return data[position:] if position else data
