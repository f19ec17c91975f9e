"""Time, chance and the order of events in a simulated world.

One seed decides everything: which of several ready events comes first, how long
each wait takes, what people do and what breaks. Nothing here reads a real clock.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

WALL_START = 1_790_000_000.0
BUSIEST_MOMENT = 20_000
"""Events that may happen without time going on; more of them are a loop."""


class StandstillError(Exception):
    """The server does something over and over without waiting."""


@implementer(IDelayedCall)
class Call:
    """A call that is due at `time`; ties are broken by the world's chance."""

    __slots__ = ("args", "called", "cancelled", "function", "kwargs", "realm", "tie", "time")

    def __init__(
        self,
        realm: Realm,
        time: float,
        tie: float,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.realm = realm
        self.time = time
        self.tie = tie
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.called = False
        self.cancelled = False

    def getTime(self) -> float:
        """See IDelayedCall."""
        return self.time

    def active(self) -> bool:
        """See IDelayedCall."""
        return not (self.called or self.cancelled)

    def cancel(self) -> None:
        """See IDelayedCall."""
        self._check()
        self.cancelled = True

    def delay(self, secondsLater: float) -> None:
        """See IDelayedCall."""
        self._check()
        self._move(self.time + secondsLater)

    def reset(self, secondsFromNow: float) -> None:
        """See IDelayedCall."""
        self._check()
        self._move(self.realm.world.now + secondsFromNow)

    def _move(self, time: float) -> None:
        self.time = time
        if self.realm.alive:
            self.realm.world.push(self)

    def _check(self) -> None:
        if self.cancelled:
            raise AlreadyCancelled
        if self.called:
            raise AlreadyCalled


@implementer(IReactorTime)
class Realm:
    """One process's view of the world: its timers die with it.

    After `kill` nothing that was scheduled through this realm runs any more;
    what the dead code still does in the call that killed it must be ignored by
    whatever it talks to (transports and disks ask `alive`). After `stop` it does
    nothing until `go_on`; whoever brings it something asks `stopped`.
    """

    __slots__ = ("_from_threads", "_held", "alive", "name", "stopped", "world")

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.stopped = False
        self._held: list[tuple[float, float, Call]] = []
        self._from_threads: deque[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = deque()

    def kill(self) -> None:
        """Ends the process."""
        self.alive = False
        self._from_threads.clear()

    def stop(self) -> None:
        """The process stands still."""
        self.stopped = True

    def go_on(self) -> None:
        """The process runs again: what became due meanwhile is done now, in order."""
        self.stopped = False
        held, self._held = self._held, []
        for number, (time, _, call) in enumerate(sorted(held, key=lambda one: one[:2])):
            if call.active() and call.time == time:
                call.time = self.world.now + number * 1e-9
                self.world.push(call)

    def hold(self, call: Call) -> None:
        """A call is due while it stands still."""
        self._held.append((call.time, call.tie, call))

    def seconds(self) -> float:
        """The monotonic clock, seconds."""
        return self.world.now

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> Call:
        """See IReactorTime."""
        assert delay >= 0, f"{delay} is not greater than or equal to 0 seconds"
        world = self.world
        if not self.alive:
            # What a dead process still tries must not even draw a random number:
            # some of it happens whenever the garbage collector gets there.
            return Call(self, world.now + delay, 0.0, callable, args, kwargs)
        call = Call(self, world.now + delay, world.ties.random(), callable, args, kwargs)
        world.push(call)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """See IReactorTime."""
        return [call for call in self.world.pending() if call.realm is self]

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """As a reactor's: in the order of the calls, in one turn."""
        if not self.alive:
            return
        if not self._from_threads:
            self.callLater(0, self._drain_threads)
        self._from_threads.append((callable, args, kwargs))

    def _drain_threads(self) -> None:
        waiting = len(self._from_threads)
        for _ in range(waiting):
            if not self._from_threads:
                return  # killed meanwhile
            function, args, kwargs = self._from_threads.popleft()
            function(*args, **kwargs)
        if self._from_threads:
            self.callLater(0, self._drain_threads)


class Trace:
    """What happened, in order, for the reader of a failure and for the digest of a run."""

    __slots__ = ("events",)

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def lines(self) -> list[str]:
        """One line an event: time, who, what."""
        lines = []
        for time, who, what, *details in self.events:
            shown = " ".join(str(detail) for detail in details)
            lines.append(f"{time:10.3f}  {who:<14} {what} {shown}".rstrip())
        return lines

    def digest(self) -> str:
        """A hash of the whole run."""
        state = hashlib.sha256()
        for line in self.lines():
            state.update(line.encode())
            state.update(b"\n")
        return state.hexdigest()


class World:
    """The scheduler.

    Attributes:
        seed: decides the run.
        now: monotonic seconds since the world began.
        deliveries: pieces of bytes that arrived anywhere.
        step: the number of the event that is running; the total order of a run.
        ties / chance: seeded randomness for the order of events and for delays.
    """

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self.now = 0.0
        self.step = 0
        self.deliveries = 0
        self.wall_offset = 0.0
        self.trace = Trace()
        self.ties = self.randomness("ties")
        self.chance = self.randomness("chance")
        self.outside = Realm(self, "outside")
        self._queue: list[tuple[float, float, int, Call]] = []
        self._serial = 0

    def randomness(self, purpose: str) -> Random:
        """A stream of its own for each purpose, so that one does not disturb the others."""
        return Random(f"{self.seed}/{purpose}")

    def wall_time(self) -> float:
        """What clocks on the wall show: float seconds since the epoch; it may jump, also backwards."""
        return WALL_START + self.now + self.wall_offset

    def note(self, who: str, what: str, *details: object) -> None:
        """Adds an event to the trace."""
        self.trace.events.append((self.now, who, what, *details))

    def push(self, call: Call) -> None:
        """Enters a call, or enters it again under its new time."""
        self._serial += 1
        heapq.heappush(self._queue, (call.time, call.tie, self._serial, call))

    def pending(self) -> list[Call]:
        """The calls that are still to come, once each."""
        found: dict[int, Call] = {}
        for time, _, _, call in self._queue:
            if call.active() and call.realm.alive and time == call.time:
                found[id(call)] = call
        return list(found.values())

    def later(self, delay: float, function: Callable[..., Any], *args: Any) -> Call:
        """Schedules something that belongs to no process."""
        return self.outside.callLater(delay, function, *args)

    def run(self, until: float) -> None:
        """Runs what is due up to this time."""
        queue = self._queue
        pop = heapq.heappop
        moment = self.step
        while queue and queue[0][0] <= until:
            time, _, _, call = pop(queue)
            if call.called or call.cancelled or not call.realm.alive or time != call.time:
                continue  # dead, or entered again under another time
            if call.realm.stopped:
                call.realm.hold(call)
                continue
            if time > self.now:
                self.now = time
                moment = self.step
            self.step += 1
            if self.step - moment > BUSIEST_MOMENT:
                raise StandstillError(f"at {self.now} events follow upon each other without end")
            call.called = True
            call.function(*call.args, **call.kwargs)
        self.now = max(self.now, until)
