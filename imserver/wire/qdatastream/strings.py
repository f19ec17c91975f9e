"""The two string forms of document 000, and where a text that does not fit is cut.

The document's tables write u16 byte length + UTF-8; its samples and the deployed
programs write QString: u32 byte length + UTF-16, where `ffffffff` is the null
string. All numbers are big-endian.
"""

from __future__ import annotations

import enum
from typing import Final

NULL: Final = b"\xff\xff\xff\xff"
"""QString's null, which reads as empty."""
MAX_U16: Final = 0xFFFF


class StringForm(enum.Enum):
    """How strings are written."""

    UTF8 = "u16 length, UTF-8"
    QSTRING = "u32 length, UTF-16"


_UTF8: Final = StringForm.UTF8


def encode(text: str, form: StringForm) -> bytes:
    """A string with its length.

    Raises:
        ValueError: it cannot be encoded, or (UTF8) is longer than 65,535 bytes.
    """
    if form is StringForm.UTF8:
        return encode_u16(text)
    data = text.encode("utf-16-be")
    return len(data).to_bytes(4, "big") + data


def encode_u16(text: str) -> bytes:
    """A string in the form that registration and answers 8 to 10 always have.

    Raises:
        ValueError: as `encode`.
    """
    data = text.encode()
    if len(data) > MAX_U16:
        raise ValueError("longer than 65535 bytes")
    return len(data).to_bytes(2, "big") + data


def decode(data: bytes, form: StringForm) -> str:
    """The text of a string's bytes, without their length.

    Raises:
        ValueError: not UTF-8 or UTF-16, unpaired surrogates included.
    """
    return str(data, "utf-8" if form is _UTF8 else "utf-16-be")


def cut(text: str, form: StringForm, room: int) -> list[bytes]:
    """Encodes a text into as few strings as fit, each with its length; characters stay whole.

    Args:
        room: bytes that one string may take, its length field included; at least 8.
    """
    if form is StringForm.UTF8:
        data, head = text.encode(), 2
        room = min(room - head, MAX_U16)
    else:
        data, head = text.encode("utf-16-be"), 4
        room = (room - head) & ~1
    if len(data) <= room:
        return [len(data).to_bytes(head, "big") + data]
    pieces = []
    start = 0
    while start < len(data):
        end = _edge(data, start + room, form)
        pieces.append((end - start).to_bytes(head, "big") + data[start:end])
        start = end
    return pieces


def _edge(data: bytes, end: int, form: StringForm) -> int:
    """The last place at or before `end` where a character ends."""
    if end >= len(data):
        return len(data)
    if form is StringForm.UTF8:
        while data[end] & 0xC0 == 0x80:
            end -= 1
    elif data[end] & 0xFC == 0xDC:  # the second half of a surrogate pair
        end -= 2
    return end
