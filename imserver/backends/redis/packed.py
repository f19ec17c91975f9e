"""What scripts pack with cmsgpack, read and written here: values one after the other, strings of any bytes.

MessagePack's strings are text to everybody else, so msgspec cannot read those that are digests.
"""

from __future__ import annotations

import msgspec

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_LENGTHS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_NUMBERS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xCA: 4, 0xCB: 8}

Value = int | float | bytes


def pack(*values: Value | str) -> bytes:
    """Numbers and strings as `cmsgpack.pack` writes them."""
    return b"".join(_pack(value) for value in values)


def _pack(value: Value | str) -> bytes:
    if isinstance(value, int | float):
        return _encode(value)
    data = value.encode() if isinstance(value, str) else value
    size = len(data)
    if size < 32:
        return bytes([0xA0 | size]) + data
    for head, length in _LENGTHS.items():
        if size < 1 << (8 * length):
            return bytes([head]) + size.to_bytes(length, "big") + data
    raise ValueError("a string that is too long")


def unpack(data: bytes) -> list[Value]:
    """Numbers and strings of what was packed so. ValueError if there is anything else."""
    values: list[Value] = []
    at = 0
    while at < len(data):
        head = data[at]
        if head < 0x80 or head >= 0xE0:
            values.append(_decode(data[at : at + 1]))
            at += 1
        elif head in _NUMBERS:
            after = at + 1 + _NUMBERS[head]
            values.append(_decode(data[at:after]))
            at = after
        else:
            if 0xA0 <= head < 0xC0:
                length, size = 0, head & 0x1F
            elif head in _LENGTHS:
                length = _LENGTHS[head]
                size = int.from_bytes(data[at + 1 : at + 1 + length], "big")
            else:
                raise ValueError(f"a byte {head:#x} where a value begins")
            begin = at + 1 + length
            values.append(data[begin : begin + size])
            at = begin + size
    return values
