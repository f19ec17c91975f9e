"""A room as its home knows it: plain data; `room_home` changes it, `room_news` tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from twisted.internet.interfaces import IDelayedCall

from imserver.model.room_admin import RoomInfo, SeatedEndpoint
from imserver.model.rooms import EndpointInfo, EndpointRole, RoomName, Stream
from imserver.services.ports import Seat


class RoomSettings(Struct, frozen=True):
    """Limits.

    Attributes:
        rooms: at home on one node.
        endpoints / streams: in one room.
        broadcast_bytes: of one broadcast.
        broadcasts_per_second: of one endpoint, and at once after a pause.
        fanout_bytes_per_second: broadcasts of one room, each counted for every receiver; twice that at once.
        grace_seconds: how long an endpoint may come back after its connection was lost.
        endpoints_per_user: on one node; beyond it the oldest is ended.
        trusting: a demo server: everybody may join in every role.
    """

    rooms: int = 10_000
    endpoints: int = 2_000
    streams: int = 2_000
    broadcast_bytes: int = 65_536
    broadcasts_per_second: float = 20.0
    fanout_bytes_per_second: float = 64 * 1024 * 1024.0
    grace_seconds: float = 15.0
    endpoints_per_user: int = 64
    trusting: bool = False


class RoomCounts:
    """Numbers since the start, and of now, on this node.

    Attributes:
        rooms / endpoints / streams: at home here, now.
        joined / resumed / replaced: endpoints that came, came back, came in another's place.
        left / lost / removed: that left, whose connection did not come back, that were sent away.
        broadcasts: that were let through.
        events: told to endpoints of this node.
        refused: requests by the fault.
    """

    __slots__ = (
        "broadcasts",
        "endpoints",
        "events",
        "joined",
        "left",
        "lost",
        "refused",
        "removed",
        "replaced",
        "resumed",
        "rooms",
        "streams",
    )

    def __init__(self) -> None:
        self.rooms = self.endpoints = self.streams = 0
        self.joined = self.resumed = self.replaced = 0
        self.left = self.lost = self.removed = 0
        self.broadcasts = self.events = 0
        self.refused: dict[str, int] = {}


class Member:
    """An endpoint.

    Attributes:
        user: whose.
        seat: its connection; None while that is lost.
        drop: then: when the endpoint is given up.
        told: how many of the room's waiting news it has heard, or need not hear.
    """

    __slots__ = ("device", "drop", "endpoint", "role", "room", "seat", "session", "stream", "told", "user")

    def __init__(
        self, room: Room, endpoint: str, device: str, role: EndpointRole, session: str, seat: Seat
    ) -> None:
        self.room = room
        self.endpoint = endpoint
        self.device = device
        self.role = role
        self.user = seat.user
        self.session = session
        self.seat: Seat | None = seat
        self.stream: Stream | None = None
        self.drop: IDelayedCall | None = None
        self.told = 0

    @property
    def info(self) -> EndpointInfo:
        """As the others see it."""
        return EndpointInfo(self.endpoint, self.device, self.role, self.stream)

    @property
    def seated(self) -> SeatedEndpoint:
        """As administrators see it."""
        return SeatedEndpoint(self.info, self.user, self.seat is not None)


class Room:
    """A room.

    Attributes:
        members: by endpoint, in the order in which they came.
        streams: who publishes it, by stream id.
        media: the media server's addresses as last told of; None = there was none.
        events / origins: the news that wait, and who caused each (None = the server).
        waiting_bytes: what they weigh.
        telling: when they are told.
        told_at: when that was last done, seconds on the clock.
    """

    __slots__ = (
        "created_at",
        "events",
        "media",
        "members",
        "name",
        "origins",
        "streams",
        "telling",
        "told_at",
        "waiting_bytes",
    )

    def __init__(self, name: RoomName, created_at: float, media: Mapping[str, str] | None) -> None:
        self.name = name
        self.created_at = created_at
        self.media = media
        self.members: dict[str, Member] = {}
        self.streams: dict[str, Member] = {}
        self.events: list[Any] = []
        self.origins: list[Member | None] = []
        self.waiting_bytes = 0
        self.telling: IDelayedCall | None = None
        self.told_at = 0.0

    @property
    def info(self) -> RoomInfo:
        """As it is listed."""
        name = self.name
        return RoomInfo(name.app, name.channel, len(self.members), len(self.streams), self.created_at)
