"""Calls, as the sessions of this node see them.

A command becomes a request to the call's home (`call_home`), which may be another node;
what the home tells sessions comes back through the bus. Two kinds of slots on the bus say
where a call lives: a user's busy slot names the one call the user may be in, and a
call's own slot names its home.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imserver.model.accounts import Principal
from imserver.model.call_records import CallPage, ListCalls
from imserver.model.calls import (
    MAX_CALL_ID_BYTES,
    AnswerCall,
    CallEnded,
    CallError,
    CallFault,
    CallMedia,
    EndCall,
    Media,
    RejectCall,
    SignalCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.group_calls import GroupCallChanged, StartGroupCall
from imserver.model.messages import Done
from imserver.services.call_home import CallHome
from imserver.services.call_media import MediaRelay
from imserver.services.call_records import CallCounts, CallRecords
from imserver.services.call_requests import (
    Act,
    Join,
    Leave,
    Linked,
    Start,
    busy_slot,
    call_slot,
    marked_home,
    pair_key,
)
from imserver.services.call_state import CallSettings
from imserver.services.call_table import TABLE
from imserver.services.call_terms import Table
from imserver.services.dispatch import Handler
from imserver.services.group_call_requests import REQUESTS as GROUP_REQUESTS
from imserver.services.group_call_requests import (
    GroupAct,
    GroupDrop,
    GroupLinked,
    GroupPart,
    GroupStart,
    group_key,
    is_group_mark,
)
from imserver.services.group_calls import GroupCalls, no_members
from imserver.services.limits import RateLimiter
from imserver.services.ports import Bus, Seat, Store
from imserver.services.sessions import Client, Receiver

__all__ = ["CallSettings", "Calls"]

DEFAULT_ROWS = 50
MAX_ROWS = 200
STARTS_PER_SECOND = 10.0
START_BURST = 50
"""New calls of one user; each may leave a record."""
SIGNAL_BYTES_PER_SECOND = 32 * 1024.0
SIGNAL_BURST_BYTES = 512 * 1024
SIGNAL_OVERHEAD = 256
"""What one user may tell others by calls, however it is told: nobody may flood the outbox of somebody who has
not even answered. Each command counts as its detail and the overhead; hanging up counts nothing."""


class Caller(Protocol):
    """A live session, as calls need it."""

    principal: Principal
    receiver: Receiver

    @property
    def client(self) -> Client: ...


async def anybody(caller: str, callee: str) -> bool:
    """Everybody may call everybody."""
    return True


class Calls:
    """See the module.

    Args:
        spawn: runs a coroutine on its own and logs what it raises.
        exists / may_call / table: see `CallHome`.
        members: see `GroupCallHome`.

    Attributes:
        counts: for the operator.
    """

    log = Logger()

    def __init__(
        self,
        bus: Bus,
        store: Store,
        exists: Callable[[str], Awaitable[bool]],
        clock: IReactorTime,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        spawn: Callable[[Coroutine[Any, Any, Any]], Any],
        settings: CallSettings = CallSettings(),  # noqa: B008 - frozen
        may_call: Callable[[str, str], Awaitable[bool]] = anybody,
        table: Table = TABLE,
        members: Callable[[str], Awaitable[Sequence[str]]] = no_members,
    ) -> None:
        self._bus = bus
        self._store = store
        self._random_bytes = random_bytes
        self._spawn = spawn
        self.counts = CallCounts()
        self._home = CallHome(
            bus,
            CallRecords(store, spawn, clock),
            self.counts,
            clock,
            wall_time,
            may_call,
            exists,
            settings,
            table,
        )
        self._seated: dict[str, Caller] = {}  # sessions that can call, by their id
        self._media = MediaRelay(bus, self.counts, clock.seconds, settings.media_bytes_per_second)
        self._groups = GroupCalls(bus, members, self.counts, self._media, clock, settings)
        self._starts = RateLimiter(clock.seconds, STARTS_PER_SECOND, START_BURST)
        self._signals = RateLimiter(clock.seconds, SIGNAL_BYTES_PER_SECOND, SIGNAL_BURST_BYTES)

    def handlers(self) -> dict[type, Handler]:
        """For `Dispatch`."""
        return {
            StartCall: self._start,
            StartGroupCall: self._start_group,
            AnswerCall: self._act,
            RejectCall: self._act,
            EndCall: self._end,
            SignalCall: self._act,
            ListCalls: self._list,
        }

    # The life of sessions, and of the server

    def session_started(self, session: Caller) -> None:
        """A session began: what rings for its user rings there, too."""
        if session.client.media is not Media.NONE:
            self._seated[session.principal.session] = session
            self._spawn(self._follow(self.seat(session), Join))

    def session_gone(self, session: Caller) -> None:
        """A session ended."""
        if self._seated.pop(session.principal.session, None) is not None:
            self._media.unlink(session.principal.session)
            self._spawn(self._follow(self.seat(session), Leave))

    def shut_down(self) -> None:
        """Ends all calls that are at home here."""
        self._home.shut_down()
        self._groups.home.shut_down()

    async def _follow(self, seat: Seat, request: type[Join] | type[Leave]) -> None:
        """Tells the home of the user's call that a session came or went."""
        try:
            call = await self._bus.holder(busy_slot(seat.user))
            home = call and await self._bus.holder(call_slot(call))
            if home and is_group_mark(home):
                if request is Leave:
                    await self._bus.ask(marked_home(home), GroupDrop(call, seat))
            elif home:
                await self._bus.ask(marked_home(home), request(call, seat))
        except ImError as error:
            self.log.warn("the home of a call was not told of a session: {code}", code=error.code)

    def no_member(self, group: str, user: str = "") -> None:
        """Somebody ("" = everybody) is no member of a group any more, and takes no part in its calls."""
        self._spawn(self._part(group, user))

    async def _part(self, group: str, user: str) -> None:
        try:
            await self._bus.ask(self._bus.home(group_key(group)), GroupPart(group, user))
        except ImError as error:
            self.log.warn("the home of a call was not told of who left: {code}", code=error.code)

    # Commands

    async def _start(self, principal: Principal, command: StartCall) -> Done:
        seat = self._seat_of(principal)
        if len(command.call.encode()) > MAX_CALL_ID_BYTES:
            raise CallError(CallFault.BAD_REQUEST, "the call id is too long")
        self._count_signal(principal, command)
        home = command.call and await self._bus.holder(call_slot(command.call))
        if home:
            if is_group_mark(home):
                raise CallError(CallFault.CALL_ID_IN_USE, "another call has this id", command.call)
            await self._ask(seat, marked_home(home), Act(command.call, seat, command))
            return Done()
        if not command.callee:
            raise CallError(CallFault.UNKNOWN_CALL, "there is no such call", command.call)
        if command.callee == principal.user:
            raise CallError(CallFault.BAD_REQUEST, "nobody can call himself", command.call)
        if not self._starts.allow(principal.user):
            raise ImError(ErrorCode.TOO_FAST, "too many calls a second")
        call = command.call or self._mint(seat.media)
        request = Start(call, seat, command.callee, command.video, command.detail, bool(command.call))
        await self._ask(seat, self._bus.home(pair_key(principal.user, command.callee)), request)
        return Done()

    async def _start_group(self, principal: Principal, command: StartGroupCall) -> Done:
        seat = self._seat_of(principal)
        if seat.media is not Media.VOICE:
            raise ImError(ErrorCode.BAD_REQUEST, "this format has no calls of groups")
        if len(command.call.encode()) > MAX_CALL_ID_BYTES:
            raise CallError(CallFault.BAD_REQUEST, "the call id is too long")
        if not self._starts.allow(principal.user):
            raise ImError(ErrorCode.TOO_FAST, "too many calls a second")
        home = self._bus.home(group_key(command.group))
        await self._ask(seat, home, GroupStart(command.call, seat, command.group))
        return Done()

    async def _end(self, principal: Principal, command: EndCall) -> Done:
        if command.call:
            return await self._act(principal, command)
        seat = self._seat_of(principal)
        call = await self._bus.holder(busy_slot(principal.user))
        home = call and await self._bus.holder(call_slot(call))
        if home:  # else it is over already: no error, for the two ends may have crossed
            await self._ask(seat, marked_home(home), Act(call, seat, command, named=False))
        return Done()

    async def _act(self, principal: Principal, command: Any) -> Done:
        seat = self._seat_of(principal)
        if not isinstance(command, EndCall | RejectCall):
            self._count_signal(principal, command)
        home = await self._bus.holder(call_slot(command.call))
        if not home:
            raise CallError(CallFault.UNKNOWN_CALL, "there is no such call", command.call)
        group = is_group_mark(home)
        if group and seat.media is not Media.VOICE:
            raise CallError(CallFault.NOT_PARTICIPANT, "you take no part in this call", command.call)
        act: Act | GroupAct = (GroupAct if group else Act)(command.call, seat, command)
        await self._ask(seat, marked_home(home), act)
        if isinstance(command, SignalCall) and command.quality is not None:
            self.counts.quality.observe(command.quality)
        return Done()

    async def _list(self, principal: Principal, command: ListCalls) -> CallPage:
        limit = DEFAULT_ROWS if command.limit <= 0 else min(command.limit, MAX_ROWS)
        return await self._store.calls(principal.user, command.after, limit)

    def _count_signal(self, principal: Principal, command: StartCall | AnswerCall | SignalCall) -> None:
        if not self._signals.allow(principal.user, SIGNAL_OVERHEAD + len(command.detail)):
            raise ImError(ErrorCode.TOO_FAST, "too much is said in calls")

    async def _ask(self, seat: Seat, home: str, request: Start | Act | GroupStart | GroupAct) -> None:
        try:
            await self._bus.ask(home, request)
        finally:
            if seat.session not in self._seated:
                # It went while it asked; its home may have heard of that first.
                self._spawn(self._follow(seat, Leave))

    def _mint(self, media: Media) -> str:
        """An id for a call. Document 000 knows UUIDs only; document 002's begin with `call_`."""
        minted = str(uuid.UUID(bytes=self._random_bytes(16), version=4))
        return minted if media is Media.RELAY else f"call_{minted}"

    def _seat_of(self, principal: Principal) -> Seat:
        session = self._seated.get(principal.session)
        if session is None:
            raise ImError(ErrorCode.BAD_REQUEST, "calls need a live session of a format that has them")
        return self.seat(session)

    def seat(self, session: Caller) -> Seat:
        """A session of this node, as calls and other nodes address it."""
        principal = session.principal
        media = session.client.media
        return Seat(principal.user, principal.session, self._bus.node, media, principal.device)

    # Media

    def media(self, session: str, command: CallMedia) -> None:
        """A piece of the call that runs at this session: on to the other party."""
        self._media.relay(session, command.data, command.call)

    # The bus's side

    async def requested(self, request: Any) -> None:
        """See `Bus.serve`: something about a call that is at home here.

        Raises:
            ImError: refused.
        """
        if isinstance(request, GROUP_REQUESTS):
            await self._groups.requested(request)
            return
        match request:
            case Start():
                await self._home.start(request)
            case Act():
                await self._home.act(request)
            case Join():
                await self._home.join(request)
            case Leave():
                await self._home.leave(request)
            case _:
                raise ImError(ErrorCode.UNKNOWN_COMMAND, "nobody here answers that")

    def told(self, user: str, session: str, event: Any) -> None:
        """See `Bus.serve`: an event for a session of this node."""
        live = self._seated.get(session)
        if live is None:
            return
        kind = type(event)
        if kind is CallMedia:
            if self._media.runs(session, event.call):
                live.receiver.media(event)
            else:
                self.counts.media_dropped["no_call"] += 1
        elif kind is Linked:
            voice = live.client.media is Media.VOICE
            self._media.link(session, event, user if voice else "")
            live.receiver.notify(event.event)
        elif kind is GroupLinked or kind is GroupCallChanged:
            self._groups.told(user, session, event, live.receiver)
        else:
            if kind is CallEnded:
                self._media.unlink(session, event.call)
            live.receiver.notify(event)
