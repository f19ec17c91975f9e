"""The services wired together, as live sessions see them (services.sessions.SessionHub)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.model.accounts import (
    Hello,
    LoggedIn,
    LogIn,
    LogOut,
    Principal,
    RefreshTokens,
    Register,
    RenewToken,
    SessionKicked,
)
from imserver.model.calls import AnswerCall, CallMedia, EndCall, RejectCall
from imserver.model.conversations import ListConversations
from imserver.model.file_relays import AcceptRelay, EndRelay, RejectRelay, RequestRelay
from imserver.model.groups import MEMBERSHIP_ENDS, GroupChange, GroupChanged
from imserver.model.ids import id_fault
from imserver.model.messages import (
    AckMessages,
    Done,
    MarkRead,
    ReadHistory,
    RevokeMessage,
    SendMessage,
    SetTyping,
    SyncInbox,
)
from imserver.model.presence import ListPresence, SetPresence
from imserver.model.protection import Once
from imserver.services.accounts import Accounts
from imserver.services.administration import ADMIN_COMMANDS, NODE_REQUESTS, Administration, Sessions
from imserver.services.calls import Calls, CallSettings
from imserver.services.delivery import Delivery, LiveSession
from imserver.services.dispatch import Dispatch
from imserver.services.early_news import EarlyNews
from imserver.services.entrance import Entrance
from imserver.services.file_nodes import FileNote
from imserver.services.file_relay_requests import RelayAct
from imserver.services.file_relays import EVENTS as RELAY_EVENTS
from imserver.services.file_relays import Relays, RelaySettings
from imserver.services.file_sessions import FileSessions
from imserver.services.files import Files
from imserver.services.friends import Friends, FriendSettings
from imserver.services.group_admin import GroupAdministration
from imserver.services.groups import GROUP_COMMANDS, Groups
from imserver.services.ice import Ice
from imserver.services.key_admin import KeyAdministration
from imserver.services.log_ins import LogInCounts
from imserver.services.messages import Messages, MessageSettings
from imserver.services.neighbours import Homes, Neighbours
from imserver.services.ports import Bus, Directory, MediaServers, Seat, Store
from imserver.services.presence import Presence
from imserver.services.registry import Registry
from imserver.services.replays import LocalNonceMemory, NonceMemory, ReplayGuard
from imserver.services.retries import AnswerMemory, LocalAnswerMemory
from imserver.services.room_requests import REQUESTS as ROOM_REQUESTS
from imserver.services.room_requests import RoomNews, RoomOver
from imserver.services.room_state import RoomSettings
from imserver.services.rooms import Rooms
from imserver.services.sessions import Client, Receiver

# What is done to one session must be done to the next one, too.
_OF_SESSION = frozenset(
    {SetPresence, RequestRelay, AcceptRelay, RejectRelay, EndRelay, AnswerCall, RejectCall, EndCall}
)


class HubSettings(msgspec.Struct, frozen=True):
    """Attributes:
    messages: limits on messages.
    sessions_per_user: beyond it the oldest session is ended.
    calls: limits on calls.
    friends: what only friends may do.
    rooms: limits on meeting rooms.
    relays: limits on files that are passed on.
    """

    messages: MessageSettings = MessageSettings()
    sessions_per_user: int = 64
    calls: CallSettings = CallSettings()
    friends: FriendSettings = FriendSettings()
    rooms: RoomSettings = RoomSettings()
    relays: RelaySettings = RelaySettings()


class Hub:
    """Log-in, the registry, delivery and dispatch over one backend."""

    log = Logger()

    def __init__(
        self,
        store: Store,
        directory: Directory,
        bus: Bus,
        accounts: Accounts,
        groups: Groups,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        clock: IReactorTime,
        settings: HubSettings = HubSettings(),  # noqa: B008 - frozen
        ice: Ice | None = None,
        media_servers: MediaServers | None = None,
        nonces: NonceMemory | None = None,
        answers: AnswerMemory | None = None,
        keys: KeyAdministration | None = None,
    ) -> None:
        """Args:
        clock: times calls, rooms and new attempts.
        keys: the operator's entrance to the keys that protect messages.
        nonces / answers: what must come, or be done, only once; None = this node's own memory.
        ice: STUN and TURN servers; None = there are none.
        media_servers: behind the rooms; None = there are none.
        """
        self._directory = directory
        self._bus = bus
        self._accounts = accounts
        self._random_bytes = random_bytes
        self._clock = clock
        self._ice = Ice(wall_time) if ice is None else ice
        self.registry: Registry[LiveSession] = Registry(settings.sessions_per_user)
        self.delivery = Delivery(
            store, self.registry, self.spawn, self._session_started, self._session_closed, clock
        )
        only_friends = settings.friends.presence
        self.presence = Presence(directory, bus, self.registry, wall_time, self.spawn, clock, only_friends)
        self.friends = Friends(directory, self.presence, wall_time, clock.seconds, settings.friends)
        self.messages = Messages(store, bus, settings.messages, self.friends.may_type)
        self.calls = Calls(
            bus,
            store,
            self._has_account,
            clock,
            wall_time,
            random_bytes,
            self.spawn,
            settings.calls,
            self.friends.may_call,
            members=self._members,
        )
        self.log_ins = LogInCounts()
        self._entrance = Entrance(
            store,
            bus,
            accounts,
            self.delivery,
            self.registry,
            self._ice,
            self.log_ins,
            wall_time,
            clock,
            settings.messages.page_bytes,
        )
        self.rooms = Rooms(
            bus,
            accounts,
            clock,
            wall_time,
            random_bytes,
            self.spawn,
            self.log_ins,
            settings.rooms,
            media_servers,
        )
        self.administration = Administration(
            accounts,
            GroupAdministration(groups),
            Sessions(self.registry, self.rooms.registry),
            bus,
            self.rooms.moderate,
            keys,
        )
        self.dispatch = Dispatch(wall_time)
        self.dispatch.register(
            {
                SendMessage: self.messages.send,
                ListConversations: self.messages.conversations,
                SyncInbox: self.messages.sync,
                ReadHistory: self.messages.history,
                MarkRead: self.messages.mark_read,
                RevokeMessage: self.messages.revoke,
                SetTyping: self.messages.typing,
                SetPresence: self.presence.choose,
                ListPresence: self.presence.listing,
                LogOut: self._log_out,
            }
        )
        self.dispatch.register(self.calls.handlers())
        self.dispatch.register(self.friends.handlers())
        self.dispatch.register(self._ice.handlers())
        self.dispatch.register(dict.fromkeys(GROUP_COMMANDS, groups.handle))
        self.dispatch.register(dict.fromkeys(ADMIN_COMMANDS, self.administration.administer))
        self._replays = ReplayGuard(nonces or LocalNonceMemory(wall_time()), wall_time)
        self._answers: AnswerMemory = answers or LocalAnswerMemory(clock.seconds)
        self.relays = Relays(bus, self._members, self.friends.refusal, clock, random_bytes, settings.relays)
        self.dispatch.register(self.relays.handlers())
        self.files: Files | None = None
        self._file_sessions: FileSessions | None = None
        self._running: set[Deferred[Any]] = set()
        store.attach(self.delivery)
        bus.attach(self._on_event, self._on_kick)
        bus.serve(self._seats, self._on_tell, self._on_request)
        bus.attendance.serve(self.presence.rank, settings.sessions_per_user)
        self.early_news = EarlyNews(self.registry, self._tell)
        sessions = Sessions(self.registry, self.rooms.registry)
        self._homes: list[Homes] = [self.calls, self.rooms, self.relays]
        self.neighbours = Neighbours(self._homes, self.presence, sessions, accounts, clock, self.spawn)
        bus.watch(self.neighbours)

    # services.sessions.SessionHub

    def new_session_id(self) -> str:
        """See SessionHub."""
        return self._random_bytes(16).hex()

    async def log_in(
        self, client: Client, hello: Hello, command: LogIn, receiver: Receiver
    ) -> tuple[LiveSession, LoggedIn]:
        """See SessionHub."""
        return await self._entrance.log_in(client, hello, command, receiver)

    async def before_log_in(self, client: Client, command: Any) -> Any:
        """See SessionHub."""
        return await self._entrance.before_log_in(client, command)

    def send(self, attachment: LiveSession, command: SendMessage, tag: Any) -> None:
        """See SessionHub."""
        self.messages.submit(attachment.principal, command, (attachment.receiver, tag))

    def send_delay(self, attachment: LiveSession) -> float:
        """See SessionHub."""
        return self.messages.send_delay(attachment.principal)

    def acknowledge(self, attachment: LiveSession, command: AckMessages) -> None:
        """See SessionHub."""
        attachment.acknowledge(command)

    def media(self, attachment: LiveSession, command: CallMedia) -> None:
        """See SessionHub."""
        self.calls.media(attachment.principal.session, command)

    async def admit(self, once: Once) -> None:
        """See SessionHub."""
        await self._replays.admit(once)

    async def handle(self, attachment: LiveSession, command: Any, retry_id: str = "") -> Any:
        """See SessionHub."""
        if isinstance(command, LogIn):
            return await self._entrance.reauthenticate(attachment, command)
        if isinstance(command, Hello | Register | RefreshTokens | RenewToken):
            return await self.before_log_in(attachment.client, command)
        principal = attachment.principal
        if not retry_id:
            return await self.dispatch.handle(principal, command)
        peer: tuple[str, ...] = (principal.user, principal.format)
        if type(command) in _OF_SESSION:
            peer = (*peer, principal.session)
        return await self._answers.once(
            peer, retry_id, command, lambda: self.dispatch.handle(principal, command)
        )

    def authorizes(self, attachment: LiveSession, token: str) -> bool:
        """See SessionHub."""
        return self._accounts.authorizes(attachment.principal, token)

    # Life of the server

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Runs a coroutine on its own; an exception is logged, never lost."""
        running = ensureDeferred(work)
        if running.called and not isinstance(running.result, Deferred | Failure):
            return  # it never waited, as most
        self._running.add(running)

        def ended(result: Any) -> None:
            self._running.discard(running)

        running.addErrback(lambda failure: self.log.failure("background work failed", failure))
        running.addBoth(ended)

    def add_files(self, files: Files) -> None:
        """Serves files, too. To be called before anybody logs in."""
        self.files = files
        self._file_sessions = FileSessions(files, self.registry, self._clock, self.spawn)
        self.dispatch.register(self._file_sessions.handlers())
        self._homes.append(files.nodes)

    def shut_down(self) -> None:
        """Ends the calls and the news of rooms. To be called before the doors say goodbye to the sessions."""
        self.calls.shut_down()
        self.rooms.shut_down()
        self.relays.shut_down()

    async def _log_out(self, principal: Principal, command: LogOut) -> Done:
        await self._accounts.log_out(principal)
        return Done()

    def _session_started(self, session: LiveSession) -> None:
        self.presence.entered(session)
        self.calls.session_started(session)
        self.relays.session_started(session)
        if self._file_sessions is not None:
            self._file_sessions.started(session)
        self.early_news.begun(session.principal.session)

    def _session_closed(self, session: LiveSession) -> None:
        self.presence.left(session)
        self.calls.session_gone(session)
        self.relays.session_gone(session)
        if self._file_sessions is not None:
            self._file_sessions.closed(session)
        self.early_news.closed(session.principal.session)

    @property
    def nodes(self) -> int:
        """How many nodes there are, this one included."""
        return len(self._bus.nodes)

    async def _has_account(self, user: str) -> bool:
        return await self._directory.account(user) is not None

    async def _members(self, group: str) -> list[str]:
        record = await self._directory.group(group) if id_fault(group) is None else None
        return [] if record is None else [member.user for member in record.group.members]

    def _seats(self, user: str) -> list[Seat]:
        return [self.calls.seat(session) for session in self.registry.of(user)]

    # What comes over the bus

    def _on_event(self, users: Iterable[str], event: Any, origin: str) -> None:
        if type(event) is GroupChanged and event.change in MEMBERSHIP_ENDS:
            self.calls.no_member(event.group, "" if event.change is GroupChange.DELETED else event.user)
        for user in users:
            for session in self.registry.of(user):
                if session.started and session.principal.session != origin:
                    session.receiver.notify(event)

    def _on_kick(self, user: str, sid: str, session: str, event: SessionKicked) -> None:
        if self._file_sessions is not None:
            self._file_sessions.kicked(user, sid, session, event)
        if not session:
            self.relays.end_user(user, sid)
        for live in self.registry.of(user):
            principal = live.principal
            if (not sid or principal.sid == sid) and (not session or principal.session == session):
                live.kick(event)
        self.rooms.kick(user, sid, session, event)

    def _on_tell(self, user: str, session: str, event: Any, node: str) -> None:
        if isinstance(event, RoomNews | RoomOver):
            self.rooms.told(event)
        elif type(event) is CallMedia:  # there are many, and only of calls that run
            self.calls.told(user, session, event, node)
        else:
            self.early_news.told(user, session, event, node)

    def _tell(self, user: str, session: str, event: Any, node: str) -> None:
        if isinstance(event, RELAY_EVENTS):
            self.relays.told(session, event, node)
        else:
            self.calls.told(user, session, event, node)

    async def _on_request(self, request: Any) -> Any:
        if isinstance(request, RelayAct):
            return await self.relays.requested(request)
        if isinstance(request, FileNote) and self.files is not None:
            return await self.files.nodes.requested(request)
        if isinstance(request, ROOM_REQUESTS):
            return await self.rooms.requested(request)
        if isinstance(request, NODE_REQUESTS):
            return await self.administration.requested(request)
        return await self.calls.requested(request)
