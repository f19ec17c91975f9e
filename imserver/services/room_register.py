"""The rooms at home on one node, and what every change of them has in common."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime

from imserver.model.rooms import (
    EndpointChanged,
    JoinRoom,
    Notice,
    RoomError,
    RoomFault,
    RoomName,
    Stream,
    StreamChanged,
)
from imserver.services.ports import Bus, MediaServers, Seat
from imserver.services.room_news import NewsRoom
from imserver.services.room_requests import RoomOver, node_seat
from imserver.services.room_state import Member, Room, RoomCounts, RoomSettings

REMEMBERED = 10_000
"""Sessions that were taken away, so that they are refused when somebody comes back with one."""


class RoomRegister:
    """Rooms, sessions and numbers, kept true to one another; whoever is in a room hears of its changes.

    Attributes:
        rooms: by name; none is empty.
        sessions: the endpoints by their sessions.
        news: tells of what happens.
        counts: for the operator.
    """

    def __init__(
        self,
        bus: Bus,
        clock: IReactorTime,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        counts: RoomCounts,
        settings: RoomSettings,
        media: MediaServers | None,
        emptied: Callable[[RoomName], None],
    ) -> None:
        """Args:
        emptied: told of a room that is none any more. The others: see `RoomHome`.
        """
        self._bus = bus
        self._clock = clock
        self._wall_time = wall_time
        self._random_bytes = random_bytes
        self._settings = settings
        self._media = media
        self._emptied = emptied
        self.counts = counts
        self.news = NewsRoom(bus, clock)
        self.rooms: dict[RoomName, Room] = {}
        self.sessions: dict[str, Member] = {}
        self._taken: OrderedDict[str, None] = OrderedDict()

    def pick(self, name: RoomName) -> Mapping[str, str] | None:
        """The media server of a room; None = there is none."""
        return None if self._media is None else self._media.pick(str(name))

    def new_session(self) -> str:
        """A session that nobody can guess."""
        return self._random_bytes(16).hex()

    def was_taken(self, session: str) -> bool:
        """Whether this session was taken away from its endpoint."""
        return session in self._taken

    def add(self, command: JoinRoom, seat: Seat) -> Member:
        """A new endpoint, in a room that is made if it has to be.

        Raises:
            RoomError: FULL.
        """
        name = RoomName(command.app, command.channel)
        room = self.rooms.get(name)
        if room is None and len(self.rooms) >= self._settings.rooms:
            raise RoomError(RoomFault.FULL, "there are too many rooms")
        if room is not None and len(room.members) >= self._settings.endpoints:
            raise RoomError(RoomFault.FULL, "the room is full")
        if room is None:
            room = self.rooms[name] = Room(name, self._wall_time(), self.pick(name))
            self.counts.rooms += 1
        endpoint = command.endpoint or self._random_bytes(16).hex()
        device = command.device or endpoint
        member = Member(room, endpoint, device, command.role, self.new_session(), seat)
        room.members[endpoint] = self.sessions[member.session] = member
        self.counts.endpoints += 1
        self.news.add(room, EndpointChanged(endpoint, device, True), member)
        self.news.joined(member)
        return member

    def seat(self, member: Member, seat: Seat) -> None:
        """Another connection is this endpoint from now on."""
        before, member.seat = member.seat, seat
        stop_waiting(member)
        self.news.joined(member)
        if before is not None:
            self._bus.tell(node_seat(before.node), RoomOver(before.session, Notice.REPLACED))

    def publish(self, member: Member, stream: Stream) -> None:
        """The endpoint has a stream."""
        room = member.room
        member.stream = stream
        room.streams[stream.stream_id] = member
        self.counts.streams += 1
        self.news.add(room, StreamChanged(member.endpoint, member.device, stream.stream_id, True), member)

    def unpublish(self, member: Member) -> None:
        """It has none any more, if it had one."""
        stream, member.stream = member.stream, None
        if stream is not None:
            room = member.room
            del room.streams[stream.stream_id]
            self.counts.streams -= 1
            self.news.add(
                room, StreamChanged(member.endpoint, member.device, stream.stream_id, False), member
            )

    def take_session(self, member: Member) -> None:
        """The endpoint's session is refused from now on."""
        del self.sessions[member.session]
        self._taken[member.session] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)

    def remove(self, member: Member) -> None:
        """The endpoint is in the room no more; a room that is empty is none any more."""
        room = member.room
        stop_waiting(member)
        self.unpublish(member)
        del room.members[member.endpoint]
        self.sessions.pop(member.session, None)
        self.counts.endpoints -= 1
        if room.members:
            self.news.add(room, EndpointChanged(member.endpoint, member.device, False), member)
        else:
            self.news.forget(room)
            del self.rooms[room.name]
            self.counts.rooms -= 1
            self._emptied(room.name)

    def drop_all(self) -> None:
        """There are no rooms here any more, and nobody is told."""
        counts = self.counts
        for room in self.rooms.values():
            self.news.forget(room)
            counts.streams -= len(room.streams)
            counts.endpoints -= len(room.members)
            for member in room.members.values():
                stop_waiting(member)
        counts.rooms -= len(self.rooms)
        self.rooms.clear()
        self.sessions.clear()

    def send_away(self, member: Member, notice: Notice) -> None:
        """Removes an endpoint and closes its connection."""
        seat, member.seat = member.seat, None
        self.counts.removed += 1
        self.take_session(member)
        self.remove(member)
        if seat is not None:
            self._bus.tell(node_seat(seat.node), RoomOver(seat.session, notice))


def stop_waiting(member: Member) -> None:
    """The endpoint is no longer waited for."""
    if member.drop is not None:
        member.drop.cancel()
        member.drop = None
