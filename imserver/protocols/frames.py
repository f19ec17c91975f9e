"""WebSocket frames (RFC 6455, 5.2) where they are handled without Autobahn: whole messages in one frame."""

from __future__ import annotations

import struct
from typing import Final

from autobahn.websocket.xormasker import create_xor_masker  # type: ignore[attr-defined]

TEXT: Final = 0x81
BINARY: Final = 0x82
"""First bytes of frames that are whole messages."""
COMPRESSED: Final = 0x40
"""In the first byte: the payload is deflated (RFC 7692, 6)."""

# The call into NVX costs 5 us; one long integer of this many bytes costs less.
_UNMASK_IN_C_FROM = 800
_PACK_16 = struct.Struct("!BBH").pack
_PACK_64 = struct.Struct("!BBQ").pack


def whole_frame(first_byte: int, payload: bytes) -> bytes:
    """A server's frame, which carries no mask."""
    length = len(payload)
    if length < 126:
        return bytes((first_byte, length)) + payload
    if length < 0x10000:
        return _PACK_16(first_byte, 126, length) + payload
    return _PACK_64(first_byte, 127, length) + payload


def unmask(key: bytes, payload: bytes) -> bytes:
    """The payload of a client's frame (5.3); masking and unmasking are the same."""
    length = len(payload)
    if length > _UNMASK_IN_C_FROM:
        unmasked: bytes = create_xor_masker(key, length).process(payload)
        return unmasked
    pad = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(length, "little")


def is_utf8(payload: bytes) -> bool:
    """Whether a text message is one (8.1)."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
