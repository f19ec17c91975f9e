"""Calls, as the sessions of this node see them.

A command becomes a request to the call's home (`call_home`), which may be another node;
what the home tells sessions comes back through the bus. Two kinds of slots on the bus say
where a call lives: a user's busy slot names the one call the user may be in, and a
call's own slot names its home.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imserver.model.accounts import Principal
from imserver.model.call_records import CallPage, ListCalls
from imserver.model.calls import (
    MAX_CALL_ID_BYTES,
    AnswerCall,
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
from imserver.model.group_calls import StartGroupCall
from imserver.model.messages import Done
from imserver.services.call_home import CallHome
from imserver.services.call_media import MediaRelay
from imserver.services.call_records import CallCounts, CallRecords
from imserver.services.call_requests import (
    Act,
    Join,
    Leave,
    Start,
    busy_slot,
    call_slot,
    pair_key,
)
from imserver.services.call_sessions import Caller, CallSessions
from imserver.services.call_state import CallSettings
from imserver.services.call_table import TABLE
from imserver.services.call_terms import Table
from imserver.services.dispatch import Handler
from imserver.services.following import Followed
from imserver.services.group_call_requests import REQUESTS as GROUP_REQUESTS
from imserver.services.group_call_requests import (
    GroupAct,
    GroupDrop,
    GroupPart,
    GroupStart,
    group_key,
    group_slot,
    is_group_mark,
)
from imserver.services.group_calls import GroupCalls, no_members
from imserver.services.homes import marked_home
from imserver.services.limits import RateLimiter
from imserver.services.ports import Bus, Seat, Store

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
        self._followed = Followed(bus, clock)
        media = MediaRelay(bus, self.counts, clock.seconds, settings.media_bytes_per_second)
        self._groups = GroupCalls(bus, members, self.counts, media, clock, settings)
        self._sessions = CallSessions(bus, media, self._groups, self.counts, wall_time)
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
            self._sessions.enter(session)
            self._spawn(self._follow(self.seat(session), Join))

    def session_gone(self, session: Caller) -> None:
        """A session ended."""
        if session.client.media is not Media.NONE:
            self._sessions.leave(session)
            # Also of one that never began: it may have been called already.
            self._spawn(self._follow(self.seat(session), Leave))

    def shut_down(self) -> None:
        """Ends all calls that are at home here."""
        self._home.shut_down()
        self._groups.home.shut_down()

    async def _follow(self, seat: Seat, request: type[Join] | type[Leave]) -> None:
        """Tells the home of the user's call that a session came or went."""

        async def follow() -> None:
            call = await self._bus.holder(busy_slot(seat.user))
            home = call and await self._bus.holder(call_slot(call))
            if home and is_group_mark(home):
                if request is Leave:
                    await self._bus.ask(marked_home(home), GroupDrop(call, seat))
            elif home:
                await self._bus.ask(marked_home(home), request(call, seat))

        await self._followed.until_done(seat.node, follow)

    # Other nodes

    def node_lost(self, node: str) -> None:
        """See `ports.Watcher`."""
        self._spawn(self._home.node_lost(node))
        self._groups.home.node_lost(node)
        self._sessions.end(lambda home: home == node)

    def cut_off(self) -> None:
        """See `ports.Watcher`. Its sessions' calls at other homes are over for them, too."""
        self._home.end_all()
        self._groups.home.end_all()
        self._sessions.end(lambda home: True)

    def missed(self, node: str) -> None:
        """See `ports.Watcher`. What a call's home has told and what it is would not agree any more."""
        for session in self._sessions.end(lambda home: home == node):
            self._spawn(self._follow(self.seat(session), Leave))

    def no_member(self, group: str, user: str = "") -> None:
        """Somebody ("" = everybody) is no member of a group any more, and takes no part in its calls."""
        self._spawn(self._part(GroupPart(group, user)))

    async def _part(self, request: GroupPart) -> None:
        bus, group = self._bus, request.group

        async def part() -> None:
            # One that is being prepared is where new ones have their home; the one there is may be elsewhere.
            homes = {bus.home(group_key(group))}
            call = await bus.holder(group_slot(group))
            mark = call and await bus.holder(call_slot(call))
            if mark and is_group_mark(mark):
                homes.add(marked_home(mark))
            for home in sorted(homes):
                await bus.ask(home, request)

        await self._followed.until_done(bus.node, part)

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
        await self._ask(seat, await self._home_of_pair(principal.user, command.callee), request)
        return Done()

    async def _start_group(self, principal: Principal, command: StartGroupCall) -> Done:
        seat = self._seat_of(principal)
        if seat.media is not Media.VOICE:
            raise ImError(ErrorCode.BAD_REQUEST, "this format has no calls of groups")
        if len(command.call.encode()) > MAX_CALL_ID_BYTES:
            raise CallError(CallFault.BAD_REQUEST, "the call id is too long")
        if not self._starts.allow(principal.user):
            raise ImError(ErrorCode.TOO_FAST, "too many calls a second")
        # Asked again after nodes came or went, only the node where it lives knows it.
        mark = await self._bus.holder(call_slot(command.call))
        home = marked_home(mark) if is_group_mark(mark) else self._bus.home(group_key(command.group))
        await self._ask(seat, home, GroupStart(command.call, seat, command.group))
        return Done()

    async def _home_of_pair(self, caller: str, callee: str) -> str:
        """Where a call that the caller is in already lives, if there is one; else where it should.

        After nodes came or went the two may differ, and only the former knows a repeated offer, or glare.
        """
        running = await self._bus.holder(busy_slot(caller))
        home = running and await self._bus.holder(call_slot(running))
        return marked_home(home) if home else self._bus.home(pair_key(caller, callee))

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
            if self._sessions.get(seat.session) is None:
                # It went while it asked; its home may have heard of that first.
                self._spawn(self._follow(seat, Leave))

    def _mint(self, media: Media) -> str:
        """An id for a call. Document 000 knows UUIDs only; document 002's begin with `call_`."""
        minted = str(uuid.UUID(bytes=self._random_bytes(16), version=4))
        return minted if media is Media.RELAY else f"call_{minted}"

    def _seat_of(self, principal: Principal) -> Seat:
        session = self._sessions.get(principal.session)
        if session is None:
            raise ImError(ErrorCode.BAD_REQUEST, "calls need a live session of a format that has them")
        return self.seat(session)

    def seat(self, session: Caller) -> Seat:
        """A session of this node, as calls and other nodes address it."""
        return self._sessions.seat(session)

    def media(self, session: str, command: CallMedia) -> None:
        """A piece of the call that runs at this session: on to the other party."""
        self._sessions.media.relay(session, command.data, command.call)

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

    def told(self, user: str, session: str, event: Any, node: str) -> None:
        """See `Bus.serve`: an event for a session of this node."""
        self._sessions.told(user, session, event, node)
