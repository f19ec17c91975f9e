"""Which node is home to a room: the one that has its slot, and while nobody has it, the bus says who."""

from __future__ import annotations

from collections.abc import Callable

from imserver.model.errors import ErrorCode, ImError
from imserver.model.rooms import RoomName
from imserver.services.homes import home_mark, marked_home
from imserver.services.ports import Bus
from imserver.services.room_requests import room_key, room_slot


class _Entry:
    """A connection on its way into a room."""

    __slots__ = ("withdrawn",)

    def __init__(self) -> None:
        self.withdrawn = False


class RoomClaims:
    """A room stays where it is, though nodes come and go; when it is empty, its slot is free again.

    Args:
        exists: whether this node is home to a room that is not empty.
    """

    def __init__(self, bus: Bus, exists: Callable[[RoomName], bool]) -> None:
        self._bus = bus
        self._exists = exists
        self._entering: dict[RoomName, int] = {}
        self._waiting: dict[str, list[_Entry]] = {}  # for the slot, by connection

    async def find(self, room: RoomName) -> str:
        """The node to ask about a room."""
        mark = await self._bus.holder(room_slot(room))
        return marked_home(mark) if mark else self._bus.home(room_key(room))

    async def take(self, room: RoomName, connection: str) -> None:
        """A connection is about to enter a room here: this node must be its home. Calls for one `done`.

        Raises:
            ImError: UNAVAILABLE if another node is its home, or the connection was withdrawn.
        """
        self._entering[room] = self._entering.get(room, 0) + 1
        try:
            if not self._exists(room):
                await self._claim(room, connection)
        except BaseException:
            self.done(room)
            raise

    async def _claim(self, room: RoomName, connection: str) -> None:
        entry = _Entry()
        self._waiting.setdefault(connection, []).append(entry)
        try:
            mark = await self._bus.claim(room_slot(room), home_mark(self._bus.node))
        finally:
            entries = self._waiting[connection]
            entries.remove(entry)
            if not entries:
                del self._waiting[connection]
        if mark != home_mark(self._bus.node):
            raise ImError(ErrorCode.UNAVAILABLE, "the room is at home on another node")
        if entry.withdrawn:
            raise ImError(ErrorCode.UNAVAILABLE, "nobody waits for this any more")

    def withdraw(self, connection: str) -> None:
        """The connection does not want to enter any more."""
        for entry in self._waiting.get(connection, ()):
            entry.withdrawn = True

    def done(self, room: RoomName) -> None:
        """Somebody has entered, or has not."""
        self._entering[room] -= 1
        if not self._entering[room]:
            del self._entering[room]
            self.emptied(room)

    def emptied(self, room: RoomName) -> None:
        """A room may be empty."""
        # Whoever is about to enter relies on the slot.
        if room not in self._entering and not self._exists(room):
            self._bus.release(room_slot(room), home_mark(self._bus.node))
