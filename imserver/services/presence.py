"""Presence: a user is as available as the most available of the user's sessions, on whatever node."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done
from imserver.model.presence import (
    ListPresence,
    PresenceChanged,
    PresenceList,
    PresenceState,
    SetPresence,
    UserPresence,
)
from imserver.services.delivery import LiveSession, Spawn
from imserver.services.ports import Bus, Directory
from imserver.services.ports.friends import Circle
from imserver.services.registry import Registry
from imserver.services.together import together

QUIET_MEMBERS = 100
MAX_LISTED = 10_000

RETRY_SECONDS = 5.0
"""After a failure to tell who is online."""
TRIES = 60
RECENT_SECONDS = 3600.0
"""Who went offline so long ago is told of again, where that may have been missed."""
AT_ONCE = 64
"""Users whose presence is told at the same time."""
PER_TURN = 8
"""Users whose presence is told within one turn of the reactor: messages must not wait until thousands who
come back at once have been told of."""

_AVAILABILITY = {PresenceState.ONLINE: 3, PresenceState.BUSY: 2, PresenceState.AWAY: 1}
_STATES = {0: PresenceState.OFFLINE, **{rank: state for state, rank in _AVAILABILITY.items()}}


class Presence:
    """Who is online, and who is told.

    Told are one's friends, and those one shares a single conversation or a group of at
    most 100 members with; or friends alone, if it is so configured. Of two users, one of
    whom has blocked the other, neither is told. Changes of one user are told in order, and
    only the newest where several came while the first was being told. What was told last is
    kept beside what is so (`ports.attendance`), and whoever finds the two different tells: so it
    does not matter on which node something changes, nor that a node may be lost meanwhile.

    Args:
        friends_only: only friends see each other.
        clock: times new attempts after failures.
    """

    log = Logger()

    def __init__(
        self,
        directory: Directory,
        bus: Bus,
        registry: Registry[LiveSession],
        wall_time: Callable[[], float],
        spawn: Spawn,
        clock: IReactorTime,
        friends_only: bool = False,
    ) -> None:
        self._directory = directory
        self._bus = bus
        self._registry = registry
        self._wall_time = wall_time
        self._spawn = spawn
        self._friends_only = friends_only
        self._attendance = bus.attendance
        self._clock = clock
        # Only what differs from ONLINE, by session id.
        self._chosen: dict[str, PresenceState] = {}
        self._ranks: dict[str, int] = {}  # of users who are to be seen here
        self._announcing: set[str] = set()
        self._again: set[str] = set()  # of these, those that changed meanwhile
        self._waiting: dict[str, None] = {}  # for their turn, in order
        self._stepping = False
        self._left = PER_TURN  # of this turn
        self._failed: set[str] = set()
        self._viewers: dict[str, None] = {}  # who is to be told anew how others look
        self._refreshing = False

    def rank(self, user: str) -> int:
        """How available a user is on this node; 0 = not at all."""
        best = 0
        for session in self._registry.of(user):
            if session.started:
                chosen = self._chosen.get(session.principal.session, PresenceState.ONLINE)
                best = max(best, _AVAILABILITY[chosen])
        return best

    def entered(self, session: LiveSession) -> None:
        """A session began."""
        self._update(session.principal.user)

    def left(self, session: LiveSession) -> None:
        """A session ended."""
        principal = session.principal
        self._chosen.pop(principal.session, None)
        if session.started and not self._registry.of(principal.user):
            self._directory.seen(principal.user, self._wall_time())
        self._update(principal.user)

    async def choose(self, principal: Principal, command: SetPresence) -> Done:
        """Sets one session's state (document 004 §2.2)."""
        if command.state not in _AVAILABILITY:
            raise ImError(ErrorCode.BAD_REQUEST, "state must be online, away or busy")
        live = any(s.principal.session == principal.session for s in self._registry.of(principal.user))
        if not live or command.state is PresenceState.ONLINE:
            self._chosen.pop(principal.session, None)
        else:
            self._chosen[principal.session] = command.state
        self._update(principal.user)
        return Done()

    async def listing(self, principal: Principal, command: ListPresence) -> PresenceList:
        """Lists those one shares a conversation or a friendship with; the named ones, or all.

        Whom one has blocked is left out; who has blocked one is offline, and was never seen.
        """
        circle = await self._directory.circle(principal.user, MAX_LISTED)
        known = self._contacts(circle)
        known -= circle.blocks
        known.add(principal.user)
        if command.users:
            users = [user for user in dict.fromkeys(command.users) if user in known]
        else:
            known.discard(principal.user)
            users = sorted(known)[:MAX_LISTED]
        hidden = circle.blocked_by
        states = await self._states([user for user in users if user not in hidden])
        offline = [user for user, state in states.items() if state is PresenceState.OFFLINE]
        seen = await self._directory.last_seen(offline) if offline else {}
        now = self._wall_time()
        listed = []
        for user in users:
            state = states.get(user, PresenceState.OFFLINE)
            last = seen.get(user, 0.0) if state is PresenceState.OFFLINE else now
            listed.append(UserPresence(user, state, last))
        return PresenceList(listed)

    async def near(self, one: str, other: str) -> bool:
        """Whether two users see each other's presence."""
        return other in self._seeing(await self._directory.circle(one, QUIET_MEMBERS))

    def turned(self, one: str, other: str, near: bool) -> None:
        """Two users see each other from now on, or not any more: each is told how the other one looks."""
        self._spawn(self._turn(one, other, near))

    async def _turn(self, one: str, other: str, near: bool) -> None:
        try:
            states = await self._states([one, other])
        except ImError as error:
            self.log.warn("presence not told: {code}", code=error.code)
            return
        for viewer, seen in ((one, other), (other, one)):
            state = states[seen]
            if state is PresenceState.OFFLINE:
                continue  # and so it looked before
            if near:
                event = PresenceChanged(seen, state, self._wall_time())
            else:
                event = PresenceChanged(seen, PresenceState.OFFLINE, 0.0)
            self._bus.publish([viewer], event)

    async def _states(self, users: Sequence[str]) -> dict[str, PresenceState]:
        ranks = await self._attendance.ranks(users) if users else ()
        return {user: _STATES[rank] for user, rank in zip(users, ranks, strict=True)}

    def _contacts(self, circle: Circle) -> set[str]:
        return set(circle.friends if self._friends_only else circle.friends | circle.met)

    def _seeing(self, circle: Circle) -> set[str]:
        """Whoever sees the user, and is seen."""
        return self._contacts(circle) - circle.blocks - circle.blocked_by

    # Telling

    def _update(self, user: str) -> None:
        """Something happened to the user's sessions here."""
        self._attendance.changed(user)
        rank = self.rank(user)
        if rank == self._ranks.get(user, 0):
            return
        if rank:
            self._ranks[user] = rank
        else:
            del self._ranks[user]
        self.look_again((user,))

    def look_again(self, users: Sequence[str]) -> None:
        """These users may look otherwise than was announced."""
        for user in users:
            self._waiting[user] = None
        self._next()

    def refresh(self, viewers: Sequence[str] | None = None) -> None:
        """Sessions here may not have been told how others look: they are told anew.

        Args:
            viewers: whose sessions; None = everybody's.
        """
        if viewers is None:
            viewers = [session.principal.user for session in self._registry if session.started]
        # Much may come late at once: who waits is asked about once, however often he is named.
        self._viewers.update(dict.fromkeys(viewers))
        if not self._refreshing:
            self._refreshing = True
            self._spawn(self._refresh())

    async def _refresh(self) -> None:
        tries = 0
        try:
            while self._viewers and tries < TRIES:
                users, self._viewers = self._viewers, {}
                try:
                    await together(self._show_all, users)
                    tries = 0
                except ImError as error:
                    self.log.warn("presence not told anew yet: {code}", code=error.code)
                    self._viewers = users | self._viewers
                    tries += 1
                    await deferLater(self._clock, RETRY_SECONDS)
        finally:
            self._refreshing = False

    async def _show_all(self, user: str) -> None:
        """Tells a user's sessions here of everybody who is to be seen, or was a while ago."""
        seen = sorted(self._seeing(await self._directory.circle(user, QUIET_MEMBERS)))
        states = await self._states(seen)
        offline = [one for one, state in states.items() if state is PresenceState.OFFLINE]
        last = await self._directory.last_seen(offline) if offline else {}
        now = self._wall_time()
        for one, state in states.items():
            at = last.get(one, 0.0) if state is PresenceState.OFFLINE else now
            if now - at < RECENT_SECONDS:
                event = PresenceChanged(one, state, at)
                for session in self._registry.of(user):
                    if session.started:
                        session.receiver.notify(event)

    def _settle(self, user: str) -> None:
        """Tells how the user looks, if that is not what was told last: whoever is back by then never left."""
        if user in self._announcing:
            self._again.add(user)
        else:
            self._announcing.add(user)
            self._spawn(self._announce(user))

    async def _announce(self, user: str) -> None:
        try:
            while True:
                self._again.discard(user)
                rank, announced = await self._attendance.standing(user)
                if rank == announced:
                    if user in self._again:
                        continue
                    return
                viewers = self._seeing(await self._directory.circle(user, QUIET_MEMBERS))
                rank, announced = await self._attendance.standing(user)
                if rank == announced:
                    if user in self._again:
                        continue
                    return
                self._bus.publish(sorted(viewers), PresenceChanged(user, _STATES[rank], self._wall_time()))
                await self._attendance.announced(user, rank)
        except ImError as error:
            self.log.warn("presence not told: {code}", code=error.code)
            if not self._failed:
                self._clock.callLater(RETRY_SECONDS, self._retry)
            self._failed.add(user)
        finally:
            self._announcing.discard(user)
            self._next()

    def _retry(self) -> None:
        failed, self._failed = self._failed, set()
        self.look_again(sorted(failed))

    def _next(self) -> None:
        """After a loss or an outage, or a storm, there may be many to tell of: not all at once."""
        if self._stepping:
            return
        self._stepping = True
        while self._waiting and self._left and len(self._announcing) < AT_ONCE:
            if self._left == PER_TURN:
                self._clock.callLater(0, self._next_turn)
            self._left -= 1
            user = next(iter(self._waiting))
            del self._waiting[user]
            self._settle(user)
        self._stepping = False

    def _next_turn(self) -> None:
        self._left = PER_TURN
        self._next()
