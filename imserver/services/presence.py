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
from imserver.services.registry import Registry

QUIET_MEMBERS = 100
MAX_LISTED = 10_000

_AVAILABILITY = {PresenceState.ONLINE: 3, PresenceState.BUSY: 2, PresenceState.AWAY: 1}


class Presence:
    """Who is online, and who is told.

    Told are those one shares a single conversation or a group of at most 100
    members with. Changes of one user are told in order, and only the newest
    where several came while the first was being told.
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
    ) -> None:
        self._store = store
        self._directory = directory
        self._bus = bus
        self._registry = registry
        self._wall_time = wall_time
        self._spawn = spawn
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
        """Lists those one shares a conversation with; the named ones, or all."""
        known = await self._contacts(principal.user, MAX_LISTED)
        known.add(principal.user)
        if command.users:
            users = [user for user in dict.fromkeys(command.users) if user in known]
        else:
            known.discard(principal.user)
            users = sorted(known)[:MAX_LISTED]
        offline = [user for user in users if self.state(user) is PresenceState.OFFLINE]
        seen = await self._directory.last_seen(offline) if offline else {}
        now = self._wall_time()
        listed = []
        for user in users:
            state = self.state(user)
            last = seen.get(user, 0.0) if state is PresenceState.OFFLINE else now
            listed.append(UserPresence(user, state, last))
        return PresenceList(listed)

    async def _contacts(self, user: str, largest_group: int) -> set[str]:
        contacts = set(await self._store.partners(user))
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
                contacts = await self._contacts(user, QUIET_MEMBERS)
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
