"""The events of document 003 (section 2).

An event is the same for everybody but for the receiver's session in its middle, so it is
encoded once, in two halves.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.rooms import EndpointChanged, Notice, RoomBroadcast, RoomNotice, StreamChanged
from imserver.wire import content as contents

_encode: Final = msgspec.json.Encoder().encode


def halves(event: Any) -> tuple[bytes, bytes] | None:
    """What stands before and after the receiver's session; None if this format has no such event."""
    match event:
        case RoomBroadcast():
            data = b'{"source_endpoint":{"device":%b,"endpoint":%b},"payload":%b}' % (
                _encode(event.device),
                _encode(event.endpoint),
                event.payload,
            )
            return _halves(b"broadcast", data)
        case EndpointChanged():
            data = b'{"device":%b,"endpoint":%b,"stat":"%b"}' % (
                _encode(event.device),
                _encode(event.endpoint),
                b"join" if event.joined else b"leave",
            )
            return _halves(b"endpoint", data)
        case StreamChanged():
            data = b'{"device":%b,"endpoint":%b,"stream":%b,"stat":"%b"}' % (
                _encode(event.device),
                _encode(event.endpoint),
                _encode(event.stream_id),
                b"publish" if event.published else b"unpublish",
            )
            return _halves(b"stream", data)
        case RoomNotice():
            return _halves(b"error", b'{"type":"%b"}' % event.type.value.encode())
        case _:
            return None


def _halves(name: bytes, data: bytes) -> tuple[bytes, bytes]:
    return b'{"version":0,"cseq":0,"event":"%b","session":"' % name, b'","data":%b}' % data


# The client's side


class _Endpoint(Struct):
    endpoint: str
    device: str
    stat: str


class _Stream(Struct):
    endpoint: str
    device: str
    stream: str
    stat: str


class _Source(Struct):
    endpoint: str
    device: str


class _Broadcast(Struct):
    source_endpoint: _Source
    payload: dict[str, Any]


class _Error(Struct):
    type: str


def _stat(value: str, yes: str, no: str) -> bool:
    if value not in (yes, no):
        raise ValueError(f"stat must be {yes} or {no}")
    return value == yes


def read_event(name: str, data: Raw) -> Any:
    """The event of a message.

    Raises:
        ValueError: it is none (msgspec's own errors among them).
    """
    match name:
        case "endpoint":
            endpoint = msgspec.json.decode(data, type=_Endpoint)
            return EndpointChanged(endpoint.endpoint, endpoint.device, _stat(endpoint.stat, "join", "leave"))
        case "stream":
            stream = msgspec.json.decode(data, type=_Stream)
            published = _stat(stream.stat, "publish", "unpublish")
            return StreamChanged(stream.endpoint, stream.device, stream.stream, published)
        case "broadcast":
            told = msgspec.json.decode(data, type=_Broadcast)
            source = told.source_endpoint
            return RoomBroadcast(
                source.endpoint, source.device, contents.compact_json(told.payload, "payload")
            )
        case "error":
            return RoomNotice(Notice(msgspec.json.decode(data, type=_Error).type))
        case _:
            raise ValueError("an unknown event")
