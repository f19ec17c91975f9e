"""The answers of document 003 (section 1): their `data`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.messages import Done
from imserver.model.rooms import (
    EndpointInfo,
    EndpointRole,
    MediaServerReply,
    RoomDump,
    RoomJoined,
)
from imserver.wire.meeting.requests import (
    ADD,
    BROADCAST,
    DELETE,
    DUMP,
    JOIN,
    LEAVE,
    MEDIA,
    StreamData,
    read_stream,
    stream_data,
)

_encode: Final = msgspec.json.Encoder().encode


def write_answer(reply: Any) -> bytes:
    """`data` of a reply.

    Raises:
        TypeError: it is none of this format.
    """
    match reply:
        case Done():
            return b"{}"
        case RoomJoined():
            data: dict[str, Any] = {"session": reply.session, "media_server": dict(reply.media_server)}
            if reply.endpoint:
                data["endpoint"] = reply.endpoint
            return _encode(data)
        case RoomDump():
            return b'{"endpoint_list":[%b]}' % b",".join([_endpoint(one) for one in reply.endpoints])
        case MediaServerReply():
            return _encode({"media_server": dict(reply.media_server)})
        case _:
            raise TypeError(f"document 003 has no {type(reply).__name__}")


def _endpoint(info: EndpointInfo) -> bytes:
    return _encode(
        {
            "endpoint": info.endpoint,
            "device": info.device,
            "role": info.role.value,
            "stream": None if info.stream is None else stream_data(info.stream),
        }
    )


# The client's side


class _Joined(Struct):
    session: str
    media_server: dict[str, str]
    endpoint: str = ""


class _Endpoint(Struct):
    endpoint: str
    device: str
    role: EndpointRole
    stream: StreamData | None = None


class _Dump(Struct):
    endpoint_list: list[_Endpoint]


class _Media(Struct):
    media_server: dict[str, str]


def _read_joined(data: Raw) -> RoomJoined:
    found = msgspec.json.decode(data, type=_Joined)
    return RoomJoined(found.session, found.media_server, found.endpoint)


def _read_dump(data: Raw) -> RoomDump:
    found = msgspec.json.decode(data, type=_Dump)
    return RoomDump(
        [
            EndpointInfo(
                one.endpoint, one.device, one.role, None if one.stream is None else read_stream(one.stream)
            )
            for one in found.endpoint_list
        ]
    )


def _read_media(data: Raw) -> MediaServerReply:
    return MediaServerReply(msgspec.json.decode(data, type=_Media).media_server)


def _read_nothing(data: Raw) -> Done:
    return Done()


READERS: Final[dict[str, Callable[[Raw], Any]]] = {
    JOIN: _read_joined,
    LEAVE: _read_nothing,
    ADD: _read_nothing,
    DELETE: _read_nothing,
    DUMP: _read_dump,
    MEDIA: _read_media,
    BROADCAST: _read_nothing,
}
"""What reads `data` of an answer, by method; raises ValueError or ImError."""
