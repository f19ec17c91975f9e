"""Compressed payloads: `headers.encoding` "zlib" (document 004, §9).

The payload becomes `{"data":…}`: its JSON, compressed, in base64. In an encrypted message the
bytes are compressed before they are encrypted, and stand there without base64.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.wire.jsonline.messages import Envelope
from imserver.wire.jsonline.validator import bad

ENCODING: Final = "zlib"
MAX_INFLATED: Final = 256 * 1024
"""Bytes of the longest payload, uncompressed."""
WORTH_IT: Final = 1024
"""Bytes from which on a payload is compressed for clients that want it."""
_FASTEST: Final = 1


class _Packed(Struct):
    data: str


_decode: Final = msgspec.json.Decoder(_Packed).decode


def inflate(data: bytes) -> bytes:
    """Uncompresses; never makes more than `MAX_INFLATED` bytes.

    Raises:
        ImError: TOO_LARGE; BAD_REQUEST where it is not one whole zlib stream.
    """
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(data, MAX_INFLATED + 1)
    except zlib.error:
        raise bad("the payload is not a zlib stream") from None
    if len(inflated) > MAX_INFLATED:
        raise ImError(ErrorCode.TOO_LARGE, f"the payload is longer than {MAX_INFLATED} bytes")
    if not stream.eof or stream.unused_data:
        raise bad("the payload is not one whole zlib stream")
    return inflated


def unpack(envelope: Envelope) -> None:
    """Puts the JSON in the place of a compressed payload.

    Raises:
        ImError: BAD_REQUEST for an unknown encoding, or what is not in it; TOO_LARGE.
    """
    assert envelope.headers is not None
    check_encoding(envelope.headers.encoding)
    try:
        data = base64.b64decode(_decode(envelope.payload).data, validate=True)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise bad('with headers.encoding "zlib" the payload must be {"data": base64}') from None
    envelope.payload = Raw(inflate(data))


def pack(payload: bytes) -> bytes:
    """A payload that carries this one compressed."""
    return b'{"data":"%b"}' % base64.b64encode(zlib.compress(payload, _FASTEST))


def check_encoding(encoding: str | None) -> None:
    """BAD_REQUEST unless the encoding is known."""
    if encoding != ENCODING:
        raise bad('headers.encoding must be "zlib"')
