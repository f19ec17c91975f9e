"""What happens on this node when others are lost, or take this one for lost (`ports.Watcher`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from imserver.model.accounts import KickReason, Principal, SessionKicked
from imserver.model.errors import ImError
from imserver.model.presence import PresenceChanged
from imserver.services.accounts import Accounts
from imserver.services.change_cursor import Spawn
from imserver.services.together import together

CHECK_AGAIN_SECONDS = 5.0
CHECKED_AT_ONCE = 20
"""Log-ins that are looked at again at the same time: there may be thousands, and no hurry."""


class Homes(Protocol):
    """Calls, or rooms: see `ports.Watcher`."""

    def node_lost(self, node: str) -> None: ...
    def cut_off(self) -> None: ...
    def missed(self, node: str) -> None: ...


class Sight(Protocol):
    """Presence."""

    def look_again(self, users: Sequence[str]) -> None:
        """These users may look otherwise than was announced."""

    def refresh(self, viewers: Sequence[str] | None = None) -> None:
        """Sessions here, of these users or of all, may not have been told how others look."""


class Ending(Protocol):
    """A live session, or a place in a room."""

    @property
    def principal(self) -> Principal: ...
    @property
    def closed(self) -> bool: ...
    def kick(self, event: SessionKicked) -> None: ...


class Neighbours:
    """Tells those on this node whom it concerns.

    Args:
        homes: of calls and of rooms.
        sight: who is online, and who is told.
        sessions: all that are live here, whenever it is iterated.
        clock: times new attempts.

    Attributes:
        lost: other nodes, since the start.
        cut_offs: how often the others took this one for lost.
        misses: how often something that another node said did not get here.
    """

    log = Logger()

    def __init__(
        self,
        homes: Sequence[Homes],
        sight: Sight,
        sessions: Iterable[Any],
        accounts: Accounts,
        clock: IReactorTime,
        spawn: Spawn,
    ) -> None:
        self._homes = homes
        self._sight = sight
        self._sessions: Iterable[Ending] = sessions
        self._accounts = accounts
        self._clock = clock
        self._spawn = spawn
        self._checking = False
        self._once_more = False
        self.lost = self.cut_offs = self.misses = 0

    def node_lost(self, node: str) -> None:
        """See Watcher."""
        self.lost += 1
        for homes in self._homes:
            homes.node_lost(node)
        # Whatever it said last may not have got here.
        self._check_sessions()

    def cut_off(self) -> None:
        """See Watcher."""
        self.cut_offs += 1
        for homes in self._homes:
            homes.cut_off()
        self._check_sessions()

    def rejoined(self) -> None:
        """See Watcher."""
        self._sight.refresh()

    def missed(self, node: str) -> None:
        """See Watcher."""
        self.misses += 1
        for homes in self._homes:
            homes.missed(node)
        self._check_sessions()
        self._sight.refresh()

    def attendance_changed(self, users: Sequence[str]) -> None:
        """See Watcher."""
        self._sight.look_again(users)

    def came_late(self, users: Sequence[str], event: Any) -> None:
        """See Watcher."""
        if type(event) is PresenceChanged:
            self._sight.refresh(users)

    # A kick may not have got here.

    def _check_sessions(self) -> None:
        """Ends those whose log-in is good no more."""
        self._once_more = True
        if not self._checking:
            self._checking = True
            self._spawn(self._check())

    async def _check(self) -> None:
        try:
            while self._once_more:
                self._once_more = False
                await together(self._look_at, list(self._sessions), CHECKED_AT_ONCE)
        finally:
            self._checking = False

    async def _look_at(self, live: Ending) -> None:
        if not live.closed and not await self._may_stay(live.principal):
            live.kick(SessionKicked(KickReason.ACCOUNT, "the log-in has ended"))

    async def _may_stay(self, principal: Principal) -> bool:
        while True:
            try:
                return await self._accounts.may_stay(principal)
            except ImError as error:
                self.log.warn("log-ins could not be looked at yet: {code}", code=error.code)
            await deferLater(self._clock, CHECK_AGAIN_SECONDS)
