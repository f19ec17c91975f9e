"""How endpoints hear what happens in their room.

News are collected and told to all endpoints at once: in a small room at the end of the
reactor's turn, in a large one so seldom that a storm of joins costs a bounded number of
writes a second, not one for every pair of endpoints. All connections of one node are told
by one `RoomNews`, and whoever hears the same shares its encoded form.

Nobody hears of himself, nor of what was before his own dump: what waits for an endpoint is
told to it before its request is answered.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

from imserver.services.ports import Bus
from imserver.services.room_requests import RoomNews, Share, node_seat
from imserver.services.room_state import Member, Room

SECONDS_PER_ENDPOINT = 50e-6
"""How much longer news wait for each endpoint in the room: 20,000 writes a second at the most."""
LONGEST = 0.1
AT_ONCE = 0.001
"""Less than this is not worth a wait."""
MOST_BYTES = 256 * 1024
"""News that weigh so much do not wait."""
OVERHEAD = 160
"""Bytes of an event besides what was sent."""


class NewsRoom:
    """Tells the news of all rooms at home here."""

    def __init__(self, bus: Bus, clock: IReactorTime) -> None:
        self._bus = bus
        self._clock = clock

    def add(self, room: Room, event: Any, origin: Member | None = None, size: int = 0) -> None:
        """Something happened: everybody hears of it but `origin`. `size`: bytes it brings along."""
        room.events.append(event)
        room.origins.append(origin)
        room.waiting_bytes += OVERHEAD + size
        if room.waiting_bytes >= MOST_BYTES:
            self.tell_all(room)
        elif room.telling is None:
            pace = min(LONGEST, SECONDS_PER_ENDPOINT * len(room.members))
            wait = room.told_at + pace - self._clock.seconds() if pace >= AT_ONCE else 0.0
            room.telling = self._clock.callLater(max(0.0, wait), self.tell_all, room)

    def joined(self, member: Member) -> None:
        """An endpoint's connection begins: it hears what happens from here on."""
        member.told = len(member.room.events)

    def tell(self, member: Member) -> None:
        """Tells one endpoint what it has not heard yet."""
        room, seat = member.room, member.seat
        if seat is not None and member.told < len(room.events):
            start, member.told = member.told, len(room.events)
            skipped = self._own(room).get(member, [])
            shares = [_share(start, skipped, [seat.session])]
            self._bus.tell(node_seat(seat.node), RoomNews(tuple(room.events), shares))

    def tell_all(self, room: Room) -> None:
        """Tells everybody."""
        if room.telling is not None:
            if room.telling.active():
                room.telling.cancel()
            room.telling = None
        room.told_at = self._clock.seconds()
        events, own = tuple(room.events), self._own(room)
        nodes: dict[str, dict[int, list[str]]] = {}  # those who hear everything from a place on
        shares: dict[str, list[Share]] = {}
        for member in room.members.values():
            start, member.told = member.told, 0
            seat = member.seat
            if seat is None or start == len(events):
                continue
            skipped = own.get(member)
            if skipped is None:
                nodes.setdefault(seat.node, {}).setdefault(start, []).append(seat.session)
            else:
                shares.setdefault(seat.node, []).append(_share(start, skipped, [seat.session]))
        room.events.clear()
        room.origins.clear()
        room.waiting_bytes = 0
        for node in nodes.keys() | shares.keys():
            alike = [Share(start, (), found) for start, found in nodes.get(node, {}).items()]
            self._bus.tell(node_seat(node), RoomNews(events, alike + shares.get(node, [])))

    @staticmethod
    def forget(room: Room) -> None:
        """The room is empty."""
        if room.telling is not None:
            room.telling.cancel()
            room.telling = None
        room.events.clear()
        room.origins.clear()

    @staticmethod
    def _own(room: Room) -> dict[Member, list[int]]:
        """Which of the waiting news each endpoint caused itself."""
        own: dict[Member, list[int]] = {}
        for number, origin in enumerate(room.origins):
            if origin is not None:
                own.setdefault(origin, []).append(number)
        return own


def _share(start: int, skipped: list[int], connections: list[str]) -> Share:
    return Share(start, tuple(number for number in skipped if number >= start), connections)
