"""Presence: a user is as available as the most available of the user's sessions."""

from __future__ import annotations

from collections.abc import Callable

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
from imserver.services.ports import Bus, Directory, Store
from imserver.services.ports.friends import Circle
from imserver.services.registry import Registry

QUIET_MEMBERS = 100
MAX_LISTED = 10_000

_AVAILABILITY = {PresenceState.ONLINE: 3, PresenceState.BUSY: 2, PresenceState.AWAY: 1}


class Presence:
    """Who is online, and who is told.

    Told are one's friends, and those one shares a single conversation or a group of at
    most 100 members with; or friends alone, if it is so configured. Of two users, one of
    whom has blocked the other, neither is told. Changes of one user are told in order, and
    only the newest where several came while the first was being told.

    Args:
        friends_only: only friends see each other.
    """

    log = Logger()

    def __init__(
        self,
        store: Store,
        directory: Directory,
        bus: Bus,
        registry: Registry[LiveSession],
        wall_time: Callable[[], float],
        spawn: Spawn,
        friends_only: bool = False,
    ) -> None:
        self._store = store
        self._directory = directory
        self._bus = bus
        self._registry = registry
        self._wall_time = wall_time
        self._spawn = spawn
        self._friends_only = friends_only
        # Only what differs from ONLINE, by session id.
        self._chosen: dict[str, PresenceState] = {}
        self._announced: dict[str, PresenceState] = {}
        self._announcing: set[str] = set()

    def state(self, user: str) -> PresenceState:
        """The user's state now."""
        best = PresenceState.OFFLINE
        rank = 0
        for session in self._registry.of(user):
            if session.started:
                chosen = self._chosen.get(session.principal.session, PresenceState.ONLINE)
                if _AVAILABILITY[chosen] > rank:
                    rank = _AVAILABILITY[chosen]
                    best = chosen
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
        circle = await self._directory.circle(principal.user)
        known = await self._contacts(principal.user, circle, MAX_LISTED)
        known -= circle.blocks
        known.add(principal.user)
        if command.users:
            users = [user for user in dict.fromkeys(command.users) if user in known]
        else:
            known.discard(principal.user)
            users = sorted(known)[:MAX_LISTED]
        hidden = circle.blocked_by
        offline = [user for user in users if user not in hidden and self.state(user) is PresenceState.OFFLINE]
        seen = await self._directory.last_seen(offline) if offline else {}
        now = self._wall_time()
        listed = []
        for user in users:
            state = PresenceState.OFFLINE if user in hidden else self.state(user)
            last = seen.get(user, 0.0) if state is PresenceState.OFFLINE else now
            listed.append(UserPresence(user, state, last))
        return PresenceList(listed)

    async def near(self, one: str, other: str) -> bool:
        """Whether two users see each other's presence."""
        circle = await self._directory.circle(one)
        if other in circle.blocks or other in circle.blocked_by:
            return False
        return other in await self._contacts(one, circle, QUIET_MEMBERS)

    def turned(self, one: str, other: str, near: bool) -> None:
        """Two users see each other from now on, or not any more: each is told how the other one looks."""
        for viewer, seen in ((one, other), (other, one)):
            state = self.state(seen)
            if state is PresenceState.OFFLINE:
                continue  # and so it looked before
            if near:
                event = PresenceChanged(seen, state, self._wall_time())
            else:
                event = PresenceChanged(seen, PresenceState.OFFLINE, 0.0)
            self._bus.publish([viewer], event)

    async def _contacts(self, user: str, circle: Circle, largest_group: int) -> set[str]:
        contacts = set(circle.friends)
        contacts.discard(user)
        if self._friends_only:
            return contacts
        contacts.update(await self._store.partners(user))
        for group in await self._directory.groups_of(user):
            if group.member_count <= largest_group:
                record = await self._directory.group(group.group)
                if record is not None:
                    contacts.update(member.user for member in record.group.members)
        contacts.discard(user)
        return contacts

    def _update(self, user: str) -> None:
        state = self.state(user)
        announced = self._announced.get(user, PresenceState.OFFLINE)
        if state is not announced and user not in self._announcing:
            self._announcing.add(user)
            self._spawn(self._announce(user))

    async def _announce(self, user: str) -> None:
        try:
            while True:
                circle = await self._directory.circle(user)
                contacts = await self._contacts(user, circle, QUIET_MEMBERS)
                contacts -= circle.blocks
                contacts -= circle.blocked_by
                state = self.state(user)
                if state is self._announced.get(user, PresenceState.OFFLINE):
                    return
                if state is PresenceState.OFFLINE:
                    self._announced.pop(user, None)
                else:
                    self._announced[user] = state
                self._bus.publish(sorted(contacts), PresenceChanged(user, state, self._wall_time()))
        except ImError as error:
            self.log.warn("presence not told: {code}", code=error.code)
        finally:
            self._announcing.discard(user)
