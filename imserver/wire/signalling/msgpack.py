"""MessagePack instead of JSON (subprotocol `msgpack`): the same messages, value by value.

What JSON cannot say (binary strings, extension types, keys that are no strings, NaN)
is refused, since it could not be carried to the clients of other formats.
"""

from __future__ import annotations

from typing import Final

import msgspec

from imserver.model.errors import ErrorCode
from imserver.model.messages import Message
from imserver.wire.base import WireError
from imserver.wire.signalling.envelope import decode as from_json
from imserver.wire.signalling.envelope import encode as to_json
from imserver.wire.signalling.envelope import iso
from imserver.wire.signalling.pushes import message_fields

pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode

_FAULTS: Final = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)


def json_of(frame: bytes) -> bytes:
    """A MessagePack message as JSON.

    Raises:
        WireError: BAD_REQUEST if it is none, or holds what JSON cannot say.
    """
    try:
        value = _unpack(frame)
        written = to_json(value)
        # Some of what JSON cannot say would be written as something else.
        if from_json(written) == value:
            return written
    except _FAULTS:
        pass
    raise WireError(ErrorCode.BAD_REQUEST, "the message is not MessagePack of what JSON can say")


def msgpack_of(frame: bytes) -> bytes:
    """A JSON message as MessagePack."""
    return pack(from_json(frame))


def shared_push(message: Message) -> tuple[bytes, bytes]:
    """message.new in two parts: the seq goes between them."""
    fields = from_json(b"{%b}" % message_fields(message))
    count = len(fields)
    head = b"\x83" + pack("type") + pack("message.new") + pack("payload") + _map_head(count + 1)
    members = pack(fields)[len(_map_head(count)) :]
    return head + pack("seq"), members + pack("timestamp") + pack(iso(message.server_at))


def _map_head(count: int) -> bytes:
    """The head of a map of so many members."""
    if count < 16:
        return bytes((0x80 | count,))
    return b"\xde" + count.to_bytes(2, "big") if count < 0x10000 else b"\xdf" + count.to_bytes(4, "big")
