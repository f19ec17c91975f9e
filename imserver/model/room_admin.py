"""Moderation of rooms: what administrators and the operator ask for."""

from __future__ import annotations

from msgspec import Struct

from imserver.model.rooms import EndpointInfo


class ListRooms(Struct, frozen=True, gc=False):
    """List rooms after `after` ("<app>/<channel>") by name; limit 0 = the default."""

    after: str = ""
    limit: int = 0


class ShowRoom(Struct, frozen=True, gc=False):
    """One room with its endpoints."""

    app: str
    channel: str


class KickEndpoint(Struct, frozen=True, gc=False):
    """End an endpoint's connection and session; it may join anew."""

    app: str
    channel: str
    endpoint: str


class CloseRoom(Struct, frozen=True, gc=False):
    """End all endpoints' connections and sessions; whoever joins anew makes a new room."""

    app: str
    channel: str


# Replies


class RoomInfo(Struct, frozen=True, gc=False):
    """A room in a list; `created_at` in float seconds."""

    app: str
    channel: str
    endpoints: int
    streams: int
    created_at: float


class RoomList(Struct, frozen=True):
    """Rooms ascending; `has_more` if there are some after the last one here."""

    rooms: list[RoomInfo]
    has_more: bool


class SeatedEndpoint(Struct, frozen=True, gc=False):
    """An endpoint with what other endpoints are not told.

    Attributes:
        user: whose it is.
        connected: False while its connection is lost and may still come back.
    """

    info: EndpointInfo
    user: str
    connected: bool


class RoomReply(Struct, frozen=True):
    """A room; `media_server`: its URLs by protocol."""

    room: RoomInfo
    endpoints: list[SeatedEndpoint]
    media_server: dict[str, str] = {}
