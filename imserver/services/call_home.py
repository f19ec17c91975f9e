"""Where calls live: all calls of a pair of users at one node (`Bus.home`).

This finds out which event of `call_table` a command or a happening is, and which row of
the table it meets; `call_effects` does what the table says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from imserver.model.calls import CallError, CallFault, Media, StartCall
from imserver.services.call_effects import Effects
from imserver.services.call_events import Cause, event_of
from imserver.services.call_places import crossed, is_back, places, same_offer
from imserver.services.call_records import CallCounts, CallRecords
from imserver.services.call_requests import Act, Join, Leave, Start, busy_slot, call_slot, pair_key
from imserver.services.call_state import Call, CallSettings
from imserver.services.call_table import TABLE
from imserver.services.call_terms import Do, On, State, Table
from imserver.services.homes import LostNodes, home_mark
from imserver.services.ports import Bus, Seat

REMEMBERED_SECONDS = 60.0
"""How long an ended call is remembered: messages cross."""


class CallHome:
    """The calls that are at home on this node.

    Args:
        may_call: whether the first user may call the second one; if not, it looks as if
            that one were offline.
        exists: whether there is an account of this name.
        table: what happens; another one only in tests.
    """

    log = Logger()

    def __init__(
        self,
        bus: Bus,
        records: CallRecords,
        counts: CallCounts,
        clock: IReactorTime,
        wall_time: Callable[[], float],
        may_call: Callable[[str, str], Awaitable[bool]],
        exists: Callable[[str], Awaitable[bool]],
        settings: CallSettings,
        table: Table = TABLE,
    ) -> None:
        self._bus = bus
        self._records = records
        self._clock = clock
        self._wall_time = wall_time
        self._may_call = may_call
        self._exists = exists
        self._counts = counts
        self._table = table
        self._effects = Effects(self, bus, records, counts, clock, settings)
        self._calls: dict[str, Call] = {}
        self._by_pair: dict[str, Call] = {}  # live ones
        self._lanes: dict[str, DeferredLock] = {}
        self._preparing: dict[str, list[Deferred[None]]] = {}
        self._ended: deque[tuple[float, Call]] = deque()
        self._sweep: IDelayedCall | None = None
        self._closed = False
        self._lost_nodes = LostNodes()

    # Requests

    async def start(self, request: Start) -> None:
        """A new call; how it went, the caller's session is told by events.

        Raises:
            CallError: CALL_ID_IN_USE.
        """
        key = pair_key(request.seat.user, request.callee)
        lane = self._lanes.setdefault(key, DeferredLock())
        await lane.acquire()
        try:
            await self._start(request, key)
        finally:
            lane.release()
            if not lane.locked and not lane.waiting:
                self._lanes.pop(key, None)

    async def _start(self, request: Start, key: str) -> None:
        standing = self._by_pair.get(key)
        if standing is not None and not request.chosen and same_offer(standing, request):
            # Formats without ids of their own repeat an offer like this.
            self.step(standing, On.CALLER_REPEATS, Cause(request.seat))
            return
        call = Call(
            request.call,
            request.seat,
            request.callee,
            request.video,
            request.detail,
            self._wall_time(),
            self._clock.seconds(),
        )
        mark = home_mark(self._bus.node)
        if call.id in self._calls or call.id in self._preparing:
            raise CallError(CallFault.CALL_ID_IN_USE, "another call has this id", call.id)
        self._preparing[call.id] = []
        try:
            try:
                # A slot may be taken although its claim fails; releasing frees only what is the call's own.
                if await self._bus.claim(call_slot(call.id), mark) != mark:
                    raise CallError(CallFault.CALL_ID_IN_USE, "another call has this id", call.id)
                event, seats = await self._prospect(call, standing)
            except BaseException:
                self._bus.release(call_slot(call.id), mark)
                self._effects.ends.free(call)
                raise
            self._calls[call.id] = call
            self._by_pair.setdefault(key, call)
            self._counts.started += 1
            cause = Cause(request.seat, devices=seats, glare=event is On.GLARE)
            self.step(call, On.SHUTDOWN if self._closed else event, cause)
        finally:
            for waiting in self._preparing.pop(call.id):
                waiting.callback(None)
        for seat in places(call):
            if seat.node in self._lost_nodes:
                await self.leave(Leave(call.id, seat))

    async def _prospect(self, call: Call, standing: Call | None) -> tuple[On, list[Seat]]:
        """What is to become of a new call, and where it can ring."""
        caller, callee = call.caller_user, call.callee_user
        if await self._may_call(caller, callee):
            event, seats = await self._reach(call, standing)
        else:
            call.withheld = True
            event, seats = On.OFFLINE, []
        if event is not On.FITS:
            self._effects.ends.free(call)  # at once: somebody else may be trying
            call.recorded = await self._exists(callee)
        return event, seats

    async def _reach(self, call: Call, standing: Call | None) -> tuple[On, list[Seat]]:
        caller, callee = call.caller_user, call.callee_user
        if standing is not None:
            glare = standing.caller_user == callee and standing.state in (State.RINGING, State.UNATTENDED)
            call.withheld = not glare  # they are in a call with each other: nothing was missed
            return (On.GLARE if glare else On.BUSY), []
        # In one order everywhere: of calls that compete for users, one always gets all it needs.
        for user in sorted((caller, callee)):
            call.claimed.append(user)
            if await self._bus.claim(busy_slot(user), call.id) != call.id:
                call.withheld = user == caller or await self._is_busy(caller, call)
                return On.BUSY, []
        seats = await self._bus.seats(callee)
        fit = [seat for seat in seats if seat.media is call.media and seat.media is not Media.NONE]
        if fit:
            return On.FITS, fit
        return (On.UNFIT if seats else On.OFFLINE), []

    async def _is_busy(self, user: str, call: Call) -> bool:
        return await self._bus.holder(busy_slot(user)) not in ("", None, call.id)

    async def act(self, request: Act) -> None:
        """A command about an existing call.

        Raises:
            CallError: the command cannot be done.
        """
        call = await self._settled(request.call)
        if call is None:
            raise CallError(CallFault.UNKNOWN_CALL, "there is no such call", request.call)
        seat, command = request.seat, request.command
        if not call.concerns(seat.user):
            if isinstance(command, StartCall):
                raise CallError(CallFault.CALL_ID_IN_USE, "another call has this id", call.id)
            raise CallError(CallFault.NOT_PARTICIPANT, "you take no part in this call", call.id)
        fits = seat.media is call.media
        if request.named and fits and not crossed(call, seat, command):
            self._take_place(call, seat)
        event = event_of(call, seat, command)
        if event is On.DEVICE_ANSWERS and not fits:
            raise CallError(CallFault.BAD_REQUEST, "this device cannot take the call", call.id)
        self.step(call, event, Cause(seat, command))

    def _take_place(self, call: Call, seat: Seat) -> None:
        """The first session that names the call takes the place of one that was lost.

        So does one of the same device while the old one looks alive: after a change of
        networks a client is back long before the loss of its connection is noticed.
        """
        caller = seat.user == call.caller_user
        party = call.caller if caller else call.callee
        if call.state is State.ENDED or party is None:
            return
        if not party.away and is_back(call, party.seat, seat):
            former = party.seat
            call.displaced.add(former.session)
            self.step(call, On.CALLER_LOST if caller else On.CALLEE_LOST, Cause(former))
            self._bus.tell(former, call.stopped(call.time(self._clock.seconds())))
        if party.away:
            self.step(call, On.CALLER_RETURNS if caller else On.CALLEE_RETURNS, Cause(seat))

    async def join(self, request: Join) -> None:
        """A session of a busy user began: it rings there, too, if the user is being called."""
        call = await self._settled(request.call)
        seat = request.seat
        if call is not None and seat.user == call.callee_user and seat.media is call.media:
            self.step(call, On.DEVICE_JOINS, Cause(seat))

    async def leave(self, request: Leave) -> None:
        """A session of a busy user is gone."""
        call = await self._settled(request.call)
        if call is None:
            return
        session = request.seat.session
        cut = call.media.relayed
        if session == call.caller.seat.session:
            if not call.caller.away:
                self.step(call, On.CALLER_CUT if cut else On.CALLER_LOST, Cause(request.seat))
        elif call.callee is not None and session == call.callee.seat.session:
            if not call.callee.away:
                self.step(call, On.CALLEE_CUT if cut else On.CALLEE_LOST, Cause(request.seat))
        elif request.seat.user == call.callee_user:
            self.step(call, On.DEVICE_LEAVES, Cause(request.seat))

    async def node_lost(self, node: str) -> None:
        """All sessions of a node are gone."""
        self._lost_nodes.add(node)
        for call in list(self._calls.values()):
            for seat in places(call):
                if seat.node == node:
                    await self.leave(Leave(call.id, seat))

    def end_all(self) -> None:
        """Ends all calls as the end of the server does."""
        for call in list(self._by_pair.values()):
            self.step(call, On.SHUTDOWN, Cause())

    def shut_down(self) -> None:
        """Ends all calls; there will be no others."""
        self._closed = True
        self.end_all()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _settled(self, id: str) -> Call | None:
        """The call, once it is known whether it rings."""
        waiting = self._preparing.get(id)
        if waiting is not None:
            settled: Deferred[None] = Deferred()
            waiting.append(settled)
            await settled
        return self._calls.get(id)

    # Transitions

    def step(self, call: Call, event: On, cause: Cause) -> None:
        """Does what the table says. Raises CallError where it says so."""
        step = self._table[call.state][event]
        if step.do is Do.NEVER:
            self.log.error("a call that is {state} cannot have: {event}", state=call.state, event=event)
            return
        before, call.state = call.state, step.next
        self._effects.do(call, step, cause)
        if step.next is State.ENDED and before is not State.ENDED:
            self._remember(call)

    def _remember(self, call: Call) -> None:
        key = pair_key(call.caller_user, call.callee_user)
        if self._by_pair.get(key) is call:
            del self._by_pair[key]
        self._ended.append((self._clock.seconds() + REMEMBERED_SECONDS, call))
        if self._sweep is None and not self._closed:
            self._sweep = self._clock.callLater(REMEMBERED_SECONDS, self._forget)

    def _forget(self) -> None:
        self._sweep = None
        now = self._clock.seconds()
        while self._ended and self._ended[0][0] <= now:
            call = self._ended.popleft()[1]
            self.step(call, On.MEMORY_OVER, Cause())
        if self._ended:
            self._sweep = self._clock.callLater(self._ended[0][0] - now, self._forget)

    def forget(self, call: Call) -> None:
        """An ended call is remembered no more."""
        del self._calls[call.id]
        self._bus.release(call_slot(call.id), home_mark(self._bus.node))
