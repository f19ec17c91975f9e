"""The bus of one node: function calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from imserver.model.accounts import SessionKicked
from imserver.services.ports import Seat, Watcher

OnEvent = Callable[[Iterable[str], Any, str], None]
OnKick = Callable[[str, str, str, SessionKicked], None]


class LocalBus:
    """Hands everything to the consumers on this node at once."""

    def __init__(self) -> None:
        self._on_event: OnEvent | None = None
        self._on_kick: OnKick | None = None
        self._seats: Callable[[str], Sequence[Seat]] = _nobody
        self._on_tell: Callable[[str, str, Any, str], None] | None = None
        self._handler: Callable[[Any], Awaitable[Any]] | None = None
        self._slots: dict[str, str] = {}
        self.attendance = LocalAttendance()

    def attach(self, on_event: OnEvent, on_kick: OnKick) -> None:
        """See `Bus.attach`; `on_kick` is called with user, sid, session, event."""
        self._on_event = on_event
        self._on_kick = on_kick

    def serve(
        self,
        seats: Callable[[str], Sequence[Seat]],
        on_tell: Callable[[str, str, Any, str], None],
        handler: Callable[[Any], Awaitable[Any]],
    ) -> None:
        """See `Bus.serve`."""
        self._seats, self._on_tell, self._handler = seats, on_tell, handler

    def watch(self, watcher: Watcher) -> None:
        """See `Bus.watch`; there is nothing to tell."""

    @property
    def node(self) -> str:
        """See `Bus.node`."""
        return ""

    @property
    def nodes(self) -> Sequence[str]:
        """See `Bus.nodes`."""
        return ("",)

    def home(self, key: str) -> str:
        """See `Bus.home`."""
        return ""

    def retire(self) -> None:
        """See `Bus.retire`: there is nobody else."""

    async def ask(self, node: str, request: Any) -> Any:
        """See `Bus.ask`."""
        assert self._handler is not None
        return await self._handler(request)

    async def seats(self, user: str) -> Sequence[Seat]:
        """See `Bus.seats`."""
        return self._seats(user)

    def tell(self, seat: Seat, event: Any) -> bool:
        """See `Bus.tell`."""
        if self._on_tell is not None:
            self._on_tell(seat.user, seat.session, event, "")
        return True

    async def claim(self, key: str, value: str) -> str:
        """See `Bus.claim`."""
        return self._slots.setdefault(key, value)

    def release(self, key: str, value: str) -> None:
        """See `Bus.release`."""
        if self._slots.get(key) == value:
            del self._slots[key]

    async def holder(self, key: str) -> str:
        """See `Bus.holder`."""
        return self._slots.get(key, "")

    def publish(self, users: Iterable[str], event: Any, origin: str = "") -> None:
        """See `Bus.publish`."""
        if self._on_event is not None:
            self._on_event(users, event, origin)

    def kick(self, user: str, event: SessionKicked, sid: str = "", session: str = "") -> None:
        """See `Bus.kick`."""
        if self._on_kick is not None:
            self._on_kick(user, sid, session, event)


class LocalAttendance:
    """services.ports.Attendance: whoever is connected is connected here."""

    def __init__(self) -> None:
        self._rank: Callable[[str], int] = _unseen
        self._announced: dict[str, int] = {}

    def serve(self, rank: Callable[[str], int], limit: int) -> None:
        """See `Attendance.serve`. The limit is the registry's, which is all there is."""
        self._rank = rank

    async def enter(self, user: str) -> Sequence[Seat]:
        """See `Attendance.enter`."""
        return ()

    def changed(self, user: str) -> None:
        """See `Attendance.changed`; whoever looks sees it."""

    async def ranks(self, users: Sequence[str]) -> Sequence[int]:
        """See `Attendance.ranks`."""
        return [self._rank(user) for user in users]

    async def standing(self, user: str) -> tuple[int, int]:
        """See `Attendance.standing`."""
        return self._rank(user), self._announced.get(user, 0)

    async def announced(self, user: str, rank: int) -> None:
        """See `Attendance.announced`."""
        if rank:
            self._announced[user] = rank
        else:
            self._announced.pop(user, None)


def _unseen(user: str) -> int:
    return 0


def _nobody(user: str) -> Sequence[Seat]:
    return ()
