"""MessagePack (the part that says what JSON can say), written out by hand for tests."""

from __future__ import annotations

import struct
from typing import Any


class NotMessagePack(Exception):
    """Bytes that are no MessagePack, or not in its shortest form."""


def pack(value: Any) -> bytes:
    """One value. Also bytes, which JSON cannot say."""
    if value is None:
        return b"\xc0"
    if value is False:
        return b"\xc2"
    if value is True:
        return b"\xc3"
    if isinstance(value, int):
        return _pack_int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack("!d", value)
    if isinstance(value, str):
        data = value.encode()
        if len(data) < 32:
            return bytes((0xA0 | len(data),)) + data
        return _head(len(data), ((0x100, 0xD9, "!B"), (0x10000, 0xDA, "!H"), (1 << 32, 0xDB, "!I"))) + data
    if isinstance(value, bytes):
        return _head(len(value), ((0x100, 0xC4, "!B"), (0x10000, 0xC5, "!H"), (1 << 32, 0xC6, "!I"))) + value
    if isinstance(value, list | tuple):
        head = bytes((0x90 | len(value),)) if len(value) < 16 else _head(len(value), _ARRAYS)
        return head + b"".join(pack(item) for item in value)
    if isinstance(value, dict):
        head = bytes((0x80 | len(value),)) if len(value) < 16 else _head(len(value), _MAPS)
        return head + b"".join(pack(key) + pack(item) for key, item in value.items())
    raise TypeError(type(value).__name__)


_ARRAYS = ((0x10000, 0xDC, "!H"), (1 << 32, 0xDD, "!I"))
_MAPS = ((0x10000, 0xDE, "!H"), (1 << 32, 0xDF, "!I"))


def _head(count: int, forms: Any) -> bytes:
    for limit, code, form in forms:
        if count < limit:
            return bytes((code,)) + struct.pack(form, count)
    raise OverflowError(count)


def _pack_int(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack("!b", value)
    if value > 0:
        unsigned = ((1 << 8, 0xCC, "!B"), (1 << 16, 0xCD, "!H"), (1 << 32, 0xCE, "!I"), (1 << 64, 0xCF, "!Q"))
        return _head(value, unsigned)
    for bits, code, form in ((7, 0xD0, "!b"), (15, 0xD1, "!h"), (31, 0xD2, "!i"), (63, 0xD3, "!q")):
        if value >= -(1 << bits):
            return bytes((code,)) + struct.pack(form, value)
    raise OverflowError(value)


def unpack(data: bytes) -> Any:
    """The one value in these bytes.

    Raises:
        NotMessagePack: bytes left over or missing, or of a kind that JSON does not have.
    """
    value, end = _unpack(data, 0)
    if end != len(data):
        raise NotMessagePack("bytes left over")
    return value


_NUMBERS = {0xCB: "!d", 0xCC: "!B", 0xCD: "!H", 0xCE: "!I", 0xCF: "!Q", 0xD0: "!b", 0xD1: "!h", 0xD2: "!i",
            0xD3: "!q"}  # fmt: skip
_STRINGS = {0xD9: "!B", 0xDA: "!H", 0xDB: "!I"}
_LISTS = {0xDC: "!H", 0xDD: "!I"}
_TABLES = {0xDE: "!H", 0xDF: "!I"}


def _number(data: bytes, at: int, form: str) -> tuple[Any, int]:
    size = struct.calcsize(form)
    if at + size > len(data):
        raise NotMessagePack("cut off")
    return struct.unpack_from(form, data, at)[0], at + size


def _unpack(data: bytes, at: int) -> tuple[Any, int]:
    code, at = _number(data, at, "!B")
    if code < 0x80:
        return code, at
    if code >= 0xE0:
        return code - 0x100, at
    if code < 0x90:
        return _table(data, at, code & 15)
    if code < 0xA0:
        return _list(data, at, code & 15)
    if code < 0xC0:
        return _string(data, at, code & 31)
    if code in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[code], at
    if code in _NUMBERS:
        return _number(data, at, _NUMBERS[code])
    for forms, read in ((_STRINGS, _string), (_LISTS, _list), (_TABLES, _table)):
        if code in forms:
            count, at = _number(data, at, forms[code])
            return read(data, at, count)
    raise NotMessagePack(f"code {code:#x}")


def _string(data: bytes, at: int, count: int) -> tuple[str, int]:
    if at + count > len(data):
        raise NotMessagePack("cut off")
    try:
        return data[at : at + count].decode(), at + count
    except UnicodeDecodeError:
        raise NotMessagePack("not UTF-8") from None


def _list(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, at = _unpack(data, at)
        items.append(item)
    return items, at


def _table(data: bytes, at: int, count: int) -> tuple[dict[str, Any], int]:
    items: dict[str, Any] = {}
    for _ in range(count):
        key, at = _unpack(data, at)
        if type(key) is not str or key in items:
            raise NotMessagePack(f"key {key!r}")
        items[key], at = _unpack(data, at)
    return items, at
