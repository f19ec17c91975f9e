"""What an endpoint's node and a room's home say to each other over the bus.

The node asks the home (`Bus.ask`); the home tells nodes (`Bus.tell`) what their endpoints
are to hear: one `RoomNews` for all of them, or `RoomOver` for one. A node must hear what a home
answers and what it tells in the order in which that happened: an endpoint's view is its dump and
the news after it. The bus sees to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from imserver.model.calls import Media
from imserver.model.rooms import JoinRoom, Notice, RoomName
from imserver.services.ports import Seat


def room_key(room: RoomName) -> str:
    """What `Bus.home` is asked for."""
    return f"room/{room.app}/{room.channel}"


def room_slot(room: RoomName) -> str:
    """The slot whose value names the node that is home to a room, see `homes.home_mark`."""
    return f"home/{room_key(room)}"


def node_seat(node: str) -> Seat:
    """Where news for endpoints on a node go: the node itself."""
    return Seat("", "", node, Media.NONE)


class Enter(Struct, frozen=True):
    """A connection wants to be an endpoint. Its account and role are known to be good."""

    seat: Seat
    command: JoinRoom


class Act(Struct, frozen=True):
    """A command of an endpoint; it bears its session."""

    room: RoomName
    seat: Seat
    command: Any


class Gone(Struct, frozen=True):
    """An endpoint's connection is gone.

    Attributes:
        session: the endpoint's; "" = not known: the answer to its Enter was lost.
        final: it is not to come back: its account's log-in has ended.
    """

    room: RoomName
    seat: Seat
    session: str
    final: bool


class Moderate(Struct, frozen=True):
    """A command of `model.room_admin`."""

    command: Any


REQUESTS = (Enter, Act, Gone, Moderate)
"""What a home is asked."""


class Share(Struct, frozen=True):
    """What some of a node's endpoints are told of the news: all alike from `start` on, but `skipped`.

    Attributes:
        connections: their sessions at the doors.
    """

    start: int
    skipped: tuple[int, ...]
    connections: Sequence[str]


class RoomNews(Struct, frozen=True):
    """What happened in a room, in order, for all endpoints of one node."""

    events: Sequence[Any]
    shares: Sequence[Share]


class RoomOver(Struct, frozen=True, gc=False):
    """An endpoint's connection is an endpoint no more: it is told why, and closed."""

    connection: str
    notice: Notice
