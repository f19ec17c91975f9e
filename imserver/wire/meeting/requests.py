"""The requests of document 003 (section 1): `data` by method, and the commands they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import MAX_JSON_INTEGER
from imserver.model.rooms import (
    MAX_CODEC_BYTES,
    AddStream,
    BroadcastInRoom,
    DeleteStream,
    DumpMediaServer,
    DumpRoom,
    EndpointRole,
    JoinRoom,
    LeaveRoom,
    Stream,
    StreamType,
    check_name,
)
from imserver.wire import content as contents

JOIN: Final = "channel.join"
LEAVE: Final = "channel.leave"
ADD: Final = "stream.add"
DELETE: Final = "stream.delete"
DUMP: Final = "channel.dump"
MEDIA: Final = "media_server.dump"
BROADCAST: Final = "broadcast"

Name = str | int | None
"""A name as clients may write it; integers as in all formats (CONTRACT §1)."""


class JoinData(Struct):
    """channel.join; `device` and `token` are additions."""

    app: Name = None
    channel: Name = None
    endpoint: Name = None
    role: str | None = None
    device: Name = None
    token: str | None = None


class StreamData(Struct):
    """A stream in stream.add and channel.dump."""

    type: str
    stream_id: Name
    has_video: bool
    has_audio: bool
    audio_codec: str | None = None
    video_codec: str | None = None


class _AddData(Struct):
    stream: StreamData


class _DeleteData(Struct):
    stream_id: Name


class _MediaData(Struct):
    protocol: str | None = None


class _NoData(Struct):
    """Whatever may be there says nothing."""


def _name(value: Name, what: str, *, slash: bool = False) -> str:
    """A name that has to be there."""
    if isinstance(value, int):
        if not 0 <= value <= MAX_JSON_INTEGER:
            raise ImError(ErrorCode.BAD_REQUEST, f"{what} is out of range")
        value = str(value)
    return check_name(value or "", what, slash=slash)


def _optional(value: Name, what: str, *, slash: bool = False) -> str:
    return "" if value is None or value == "" else _name(value, what, slash=slash)


def _codec(value: str | None, what: str) -> str:
    text = value or ""
    if len(text) > MAX_CODEC_BYTES or not (text.isascii() and text.isprintable()):
        raise ImError(ErrorCode.BAD_REQUEST, f"{what} is no name of a codec")
    return text


def _join(session: str, data: JoinData) -> JoinRoom:
    try:
        role = EndpointRole(data.role or EndpointRole.NORMAL)
    except ValueError:
        raise ImError(ErrorCode.BAD_REQUEST, "role must be normal, recorder or relayer") from None
    return JoinRoom(
        _name(data.app, "app"),
        _name(data.channel, "channel"),
        _optional(data.endpoint, "endpoint"),
        role,
        _optional(data.device, "device", slash=True),
        session,
        data.token or "",
    )


def read_stream(data: StreamData) -> Stream:
    """A stream. Raises ImError."""
    try:
        kind = StreamType(data.type)
    except ValueError:
        raise ImError(ErrorCode.BAD_REQUEST, "type must be camera or desktop") from None
    return Stream(
        _name(data.stream_id, "stream_id", slash=True),
        kind,
        data.has_video,
        data.has_audio,
        _codec(data.audio_codec, "audio_codec"),
        _codec(data.video_codec, "video_codec"),
    )


def _add(session: str, data: _AddData) -> AddStream:
    return AddStream(session, read_stream(data.stream))


def _delete(session: str, data: _DeleteData) -> DeleteStream:
    return DeleteStream(session, _name(data.stream_id, "stream_id", slash=True))


def _media(session: str, data: _MediaData) -> DumpMediaServer:
    return DumpMediaServer(session, data.protocol or "")


def _broadcast(session: str, data: dict[str, Any]) -> BroadcastInRoom:
    return BroadcastInRoom(session, contents.compact_json(data, "data"))


METHODS: Final[dict[str, tuple[Any, Callable[[str, Any], Any]]]] = {
    JOIN: (JoinData, _join),
    LEAVE: (_NoData, lambda session, data: LeaveRoom(session)),
    ADD: (_AddData, _add),
    DELETE: (_DeleteData, _delete),
    DUMP: (_NoData, lambda session, data: DumpRoom(session)),
    MEDIA: (_MediaData, _media),
    BROADCAST: (dict[str, Any], _broadcast),
}
_DECODERS: Final = {method: msgspec.json.Decoder(kind).decode for method, (kind, _) in METHODS.items()}


def read_command(method: str, session: str, data: Raw) -> Any:
    """The command of a request.

    Raises:
        ImError: UNKNOWN_COMMAND; BAD_REQUEST for data it cannot be read from.
    """
    decode = _DECODERS.get(method)
    if decode is None:
        raise ImError(ErrorCode.UNKNOWN_COMMAND, "this method is not known")
    raw = bytes(data).strip()
    if raw in (b"", b"null"):
        raw = b"{}"
    if raw[:1] != b"{":
        raise ImError(ErrorCode.BAD_REQUEST, "data must be an object")
    try:
        found = decode(raw)
    except msgspec.ValidationError as fault:
        raise ImError(ErrorCode.BAD_REQUEST, f"data: {fault}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ImError(ErrorCode.BAD_REQUEST, "data cannot be read") from None
    return METHODS[method][1](session, found)


# The client's side


def stream_data(stream: Stream) -> dict[str, Any]:
    """A stream as it is written, by both sides."""
    return {
        "stream_id": stream.stream_id,
        "type": stream.type.value,
        "has_video": stream.has_video,
        "has_audio": stream.has_audio,
        "audio_codec": stream.audio_codec,
        "video_codec": stream.video_codec,
    }


def write_command(command: Any) -> tuple[str, str, Any]:
    """(method, session, data) of a command.

    Raises:
        TypeError: it is none of this format.
    """
    match command:
        case JoinRoom():
            data = {
                "app": command.app,
                "channel": command.channel,
                "endpoint": command.endpoint,
                "role": command.role.value,
            }
            data |= {key: value for key in ("device", "token") if (value := getattr(command, key))}
            return JOIN, command.session, data
        case LeaveRoom():
            return LEAVE, command.session, {}
        case AddStream():
            return ADD, command.session, {"stream": stream_data(command.stream)}
        case DeleteStream():
            return DELETE, command.session, {"stream_id": command.stream_id}
        case DumpRoom():
            return DUMP, command.session, {}
        case DumpMediaServer():
            return MEDIA, command.session, {"protocol": command.protocol} if command.protocol else {}
        case BroadcastInRoom():
            return BROADCAST, command.session, Raw(command.payload)
        case _:
            raise TypeError(f"document 003 has no {type(command).__name__}")
