"""The places that connections of this node have in rooms, and what they are told there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from imserver.model.accounts import KickReason, Principal, SessionKicked
from imserver.model.calls import Media
from imserver.model.rooms import Notice, RoomName, RoomNotice
from imserver.services.ports import Seat
from imserver.services.sessions import Client


class Event:
    """An event of a room on its way out. `encoded`: whatever the doors keep there; services never look."""

    __slots__ = ("encoded", "event")

    def __init__(self, event: Any) -> None:
        self.event = event
        self.encoded: Any = None


class News:
    """Events for several connections at once, with the encoded form that they share (as in `Event`)."""

    __slots__ = ("encoded", "events")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.encoded: Any = None


class RoomReceiver(Protocol):
    """A connection in a room. None of these ever raises or waits."""

    def news(self, news: News) -> None:
        """Queue what happened in the room."""

    def over(self, notice: RoomNotice) -> None:
        """Say why, flush, close. Called at most once."""


class Node(Protocol):
    """Where places are."""

    @property
    def node(self) -> str:
        """Its name."""

    def close(self, place: Place, *, final: bool) -> None:
        """The place is one no more; `final`: neither is the endpoint."""


class Place:
    """A connection's place in a room.

    Attributes:
        principal: who.
        room / session: where, and under which key; "" before the home has answered.
        home: the node that is the room's home.
    """

    __slots__ = ("_early", "_rooms", "client", "closed", "home", "principal", "receiver", "room", "session")

    def __init__(
        self, rooms: Node, principal: Principal, client: Client, receiver: RoomReceiver, room: RoomName
    ) -> None:
        self._rooms = rooms
        self.principal = principal
        self.client = client
        self.receiver = receiver
        self.room = room
        self.session = ""
        self.home = ""
        self.closed = False
        self._early: list[News] | None = []  # news that overtook the home's answer

    def start(self) -> None:
        """Begin with the news: call it once, after the answer to the join was queued."""
        early, self._early = self._early, None
        for news in early or ():
            self.receiver.news(news)

    def hear(self, news: News) -> None:
        """Something happened in the room."""
        if self._early is None:
            self.receiver.news(news)
        else:
            self._early.append(news)

    @property
    def seat(self) -> Seat:
        """Where the home reaches it."""
        return Seat(self.principal.user, self.principal.session, self._rooms.node, Media.NONE)

    def close(self) -> None:
        """The connection is gone; the endpoint may come back with another one. Idempotent."""
        self._rooms.close(self, final=False)

    def kick(self, event: SessionKicked) -> None:
        """Its log-in has ended: so does the endpoint."""
        if not self.closed:
            self._rooms.close(self, final=True)
            self.receiver.over(RoomNotice(farewell(event)))


def farewell(event: SessionKicked) -> Notice:
    """What an endpoint is told whose session ends."""
    return Notice.SHUTDOWN if event.reason is KickReason.SHUTDOWN else Notice.LOGGED_OUT
