"""Everything that may be administered: accounts, groups and sessions, for administrators and the operator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol

from imserver.model.accounts import KickReason, Principal, Role, SessionKicked
from imserver.model.admin import EndSession, ListSessions, SessionInfo, SessionList
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done
from imserver.model.room_admin import CloseRoom, KickEndpoint, ListRooms, ShowRoom
from imserver.services.account_admin import ADMIN_COMMANDS as ACCOUNT_COMMANDS
from imserver.services.account_admin import OPERATOR_COMMANDS as TOKEN_COMMANDS
from imserver.services.account_admin import AccountAdministration
from imserver.services.group_admin import GROUP_ADMIN_COMMANDS, GroupAdministration
from imserver.services.homes import ask_all
from imserver.services.key_admin import KEY_COMMANDS, KeyAdministration
from imserver.services.ports import Bus
from imserver.services.sessions import Client

SESSION_COMMANDS: tuple[type, ...] = (EndSession, ListSessions)
ROOM_COMMANDS: tuple[type, ...] = (CloseRoom, KickEndpoint, ListRooms, ShowRoom)
ADMIN_COMMANDS: tuple[type, ...] = (
    *ACCOUNT_COMMANDS,
    *GROUP_ADMIN_COMMANDS,
    *SESSION_COMMANDS,
    *ROOM_COMMANDS,
)
"""What dispatch serves to the role admin."""
NODE_REQUESTS: tuple[type, ...] = (EndSession, ListSessions)
"""What nodes ask of each other."""
OPERATOR_COMMANDS: tuple[type, ...] = (*ADMIN_COMMANDS, *TOKEN_COMMANDS, *KEY_COMMANDS)
"""What the operator at the machine may ask for."""
OPERATOR = Principal(user="", session="", format="operator", role=Role.ADMIN)
DEFAULT_PAGE = 100
MAX_PAGE = 1000


class LiveSession(Protocol):
    """A live session, as far as it can be listed."""

    @property
    def principal(self) -> Principal: ...
    @property
    def client(self) -> Client: ...


class Sessions:
    """All live sessions on this node, whenever it is iterated."""

    def __init__(self, *registries: Iterable[LiveSession]) -> None:
        self._registries = registries

    def __iter__(self) -> Iterator[LiveSession]:
        return chain.from_iterable(self._registries)


class Administration:
    """One entrance for all of it.

    Args:
        sessions: the live sessions on this node, whenever it is iterated.
        moderate: does a command of `model.room_admin`.
        keys: the keys that protect messages; None = there are none.
    """

    def __init__(
        self,
        accounts: AccountAdministration,
        groups: GroupAdministration,
        sessions: Iterable[LiveSession],
        bus: Bus,
        moderate: Callable[[Any], Awaitable[Any]],
        keys: KeyAdministration | None = None,
    ) -> None:
        self._accounts = accounts
        self._groups = groups
        self._sessions = sessions
        self._bus = bus
        self._moderate = moderate
        self._keys = keys

    async def administer(self, principal: Principal, command: Any) -> Any:
        """Runs one of ADMIN_COMMANDS for a logged-in user; the role is read anew.

        Raises:
            ImError: FORBIDDEN unless the user is an administrator and the command one of these;
                else as the command says.
        """
        await self._accounts.require_administrator(principal)
        if not isinstance(command, ADMIN_COMMANDS):
            raise ImError(ErrorCode.FORBIDDEN, "only the operator may do this")
        return await self._perform(principal, command)

    async def operate(self, command: Any) -> Any:
        """Runs one of OPERATOR_COMMANDS for the operator at the machine."""
        return await self._perform(OPERATOR, command)

    async def _perform(self, principal: Principal, command: Any) -> Any:
        if isinstance(command, GROUP_ADMIN_COMMANDS):
            return await self._groups.perform(principal, command)
        if isinstance(command, KEY_COMMANDS) and self._keys is not None:
            return await self._keys.perform(command)
        if isinstance(command, ListSessions):
            pages: list[SessionList] = await ask_all(self._bus, command)
            return _merged(pages, command)
        if isinstance(command, EndSession):
            if not any(await ask_all(self._bus, command)):
                raise ImError(ErrorCode.NOT_FOUND, "there is no such session")
            return Done()
        if isinstance(command, ROOM_COMMANDS):
            return await self._moderate(command)
        return await self._accounts.perform(command)

    # The bus's side: what other nodes ask

    async def requested(self, request: Any) -> Any:
        """One of NODE_REQUESTS, for this node alone; None: the session to be ended is not here."""
        match request:
            case ListSessions():
                return self._list(request)
            case EndSession():
                return self._end(request)

    def _list(self, command: ListSessions) -> SessionList:
        limit = _limit(command)
        found = [
            live
            for live in self._sessions
            if live.principal.session > command.after
            and (not command.user or live.principal.user == command.user)
        ]
        found.sort(key=lambda live: live.principal.session)
        return SessionList([_info(live) for live in found[:limit]], len(found) > limit)

    def _end(self, command: EndSession) -> Done | None:
        for live in self._sessions:
            principal = live.principal
            if principal.session == command.session:
                event = SessionKicked(KickReason.ACCOUNT, command.text or "ended by an administrator")
                self._bus.kick(principal.user, event, session=principal.session)
                return Done()
        return None


def _limit(command: ListSessions) -> int:
    return min(command.limit, MAX_PAGE) if command.limit > 0 else DEFAULT_PAGE


def _merged(pages: Sequence[SessionList], command: ListSessions) -> SessionList:
    """One page of what all nodes have."""
    limit = _limit(command)
    sessions = sorted((one for page in pages for one in page.sessions), key=lambda one: one.session)
    return SessionList(sessions[:limit], len(sessions) > limit or any(page.has_more for page in pages))


def _info(live: LiveSession) -> SessionInfo:
    principal, client = live.principal, live.client
    return SessionInfo(
        session=principal.session,
        user=principal.user,
        format=principal.format,
        device=principal.device,
        platform=principal.platform,
        role=principal.role,
        address=client.address,
        secure=client.secure,
    )
