"""REST: moderation of meeting rooms, for administrators."""

from __future__ import annotations

from msgspec import Struct

from imserver.http.bodies import PageQuery
from imserver.http.table import Access, Call, Nothing, Route
from imserver.model.room_admin import CloseRoom, KickEndpoint, ListRooms, RoomInfo, SeatedEndpoint, ShowRoom


class RoomView(Struct, frozen=True):
    """A room; `created_at` in Unix seconds."""

    app: str
    channel: str
    endpoints: int
    streams: int
    created_at: float


class RoomsData(Struct, frozen=True):
    """Rooms by name; go on with `after` = the last one's "<app>/<channel>"."""

    rooms: list[RoomView]
    has_more: bool


class StreamView(Struct, frozen=True):
    """A published stream, as the endpoint described it."""

    stream_id: str
    type: str
    has_video: bool
    has_audio: bool
    audio_codec: str
    video_codec: str


class EndpointView(Struct, frozen=True):
    """An endpoint; `connected` is false while its connection is lost and may come back."""

    endpoint: str
    device: str
    role: str
    user_id: str
    connected: bool
    stream: StreamView | None


class RoomData(Struct, frozen=True):
    """A room with its endpoints, and the URLs of its media server by protocol."""

    room: RoomView
    endpoints: list[EndpointView]
    media_server: dict[str, str]


def _room_view(info: RoomInfo) -> RoomView:
    return RoomView(info.app, info.channel, info.endpoints, info.streams, info.created_at)


def _endpoint_view(seated: SeatedEndpoint) -> EndpointView:
    info, stream = seated.info, seated.info.stream
    view = None
    if stream is not None:
        view = StreamView(
            stream.stream_id,
            stream.type.value,
            stream.has_video,
            stream.has_audio,
            stream.audio_codec,
            stream.video_codec,
        )
    return EndpointView(info.endpoint, info.device, info.role.value, seated.user, seated.connected, view)


async def _rooms(call: Call) -> RoomsData:
    reply = await call.run(ListRooms(call.query.after, call.query.limit))
    return RoomsData([_room_view(one) for one in reply.rooms], reply.has_more)


async def _room(call: Call) -> RoomData:
    reply = await call.run(ShowRoom(call.path["app"], call.path["channel"]))
    endpoints = [_endpoint_view(one) for one in reply.endpoints]
    return RoomData(_room_view(reply.room), endpoints, dict(reply.media_server))


async def _kick(call: Call) -> Nothing:
    await call.run(KickEndpoint(call.path["app"], call.path["channel"], call.path["endpoint"]))
    return Nothing()


async def _close(call: Call) -> Nothing:
    await call.run(CloseRoom(call.path["app"], call.path["channel"]))
    return Nothing()


_ROOM = "/api/admin/rooms/{app}/{channel}"
ROUTES = (
    Route(
        "GET", "/api/admin/rooms", "listRooms", "Meeting rooms", Access.ADMIN, _rooms,
        data=RoomsData, query=PageQuery,
    ),
    Route(
        "GET", _ROOM, "showRoom", "One meeting room with its endpoints", Access.ADMIN, _room,
        data=RoomData, errors=(404,),
    ),
    Route(
        "DELETE", _ROOM, "closeRoom", "Send all endpoints away; their tokens stay valid",
        Access.ADMIN, _close, errors=(404,),
    ),
    Route(
        "DELETE", _ROOM + "/endpoints/{endpoint}", "kickEndpoint",
        "Send one endpoint away; its token stays valid", Access.ADMIN, _kick, errors=(404,),
    ),
)  # fmt: skip
