"""How long durable messages take at a steady rate."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from benchmarks.loads import TEXT, close, fresh
from benchmarks.machine import PATIENCE, TAKEN, Theft
from benchmarks.rates import SETTLE, WARM_UP, Load, piece
from benchmarks.servers import Running
from benchmarks.speakers import DIGITS, Speaker, connect_user

TICK = 0.002
"""Seconds between two bursts."""
PAIRS = 100


class Steady:
    """Pairs that chat at one rate together, whatever becomes of their messages.

    Attributes:
        per_second: messages.
        delays: seconds from the writing of each message to the reading of its push, as they come.
    """

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self.delays: list[float] = []
        self._number = itertools.count()
        self._pairs: list[tuple[Speaker, bytes, bytes, deque[float]]] = []
        self._speakers: list[Speaker] = []

    async def connect(self, ports: dict[str, int], format: str, pairs: int) -> None:
        """More pairs, of one format."""
        for one, other in zip(fresh(pairs), fresh(pairs), strict=True):
            receiver = await connect_user(format, ports, other)
            sender = await connect_user(format, ports, one)
            under_way: deque[float] = deque()

            def arrived(count: int, under_way: deque[float] = under_way) -> None:
                # A sender's messages arrive in their order.
                now = time.perf_counter()
                self.delays += [now - under_way.popleft() for _ in range(count)]

            receiver.count_from_now(arrived)
            sender.count_from_now(lambda count: None)
            self._pairs.append((sender, *sender.message(other, "", TEXT), under_way))
            self._speakers += [receiver, sender]

    async def chat(self, seconds: float) -> None:
        """Sends for so long; a burst that is late is made up for, its delay counted from its writing."""
        turns = itertools.cycle(self._pairs)
        begun, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < begun + seconds:
            due = int((now - begun) * self.per_second)
            for sender, head, tail, under_way in itertools.islice(turns, due - sent):
                under_way.append(time.perf_counter())
                sender.transport.write(b"%b%0*d%b" % (head, DIGITS, next(self._number), tail))
            sent = due
            await asyncio.sleep(TICK)

    async def settled(self) -> None:
        """All that was sent has arrived."""
        while any(under_way for *_, under_way in self._pairs):
            await asyncio.sleep(0.01)

    def take(self) -> list[float]:
        """The delays since the last call."""
        taken, self.delays = self.delays, []
        return taken

    async def close(self) -> None:
        """Ends it."""
        await close(self._speakers)


def percentile(delays: list[float], hundredth: int) -> float:
    """Of so many delays; in their unit."""
    return statistics.quantiles(delays, n=100)[hundredth - 1]


class Delays(NamedTuple):
    """What came out.

    Attributes:
        middle, late: p50 and p99, milliseconds.
        per_second: messages, at which they came to that.
    """

    middle: float
    late: float
    per_second: float


async def at_rate(server: Running, per_second: float, seconds: float) -> Delays:
    """At one rate; half of the pairs of document 001, half of 004."""

    async def pace() -> float:
        return per_second

    return await measured(await _pairs(server), pace, seconds)


async def at_share(server: Running, share: float, full: Awaitable[Load], seconds: float) -> Delays:
    """Likewise, at a share of what the machine can do just then.

    For a second another server takes all that it can and this one stands still, then the other way round, and
    this one has that share of it. Of what the machine could do a minute before it would be another share.

    Args:
        full: begins to keep the other server busy.
    """
    steady = await _pairs(server)
    load = await full

    async def pace() -> float:
        os.kill(server.pid, signal.SIGSTOP)
        load.go_on()
        try:
            await asyncio.sleep(SETTLE)
            can = await piece(load, 1.0)
        finally:
            load.hold()
            os.kill(server.pid, signal.SIGCONT)
        await asyncio.sleep(SETTLE)
        return share * can.frames / can.took

    try:
        return await measured(steady, pace, seconds)
    finally:
        load.go_on()
        await load.end()


async def _pairs(server: Running) -> Steady:
    steady = Steady(0.0)
    for format in ("protobuf", "jsonline"):
        await steady.connect(server.ports, format, PAIRS // 2)
    return steady


async def measured(steady: Steady, pace: Callable[[], Awaitable[float]], seconds: float) -> Delays:
    """What becomes of a pace that is asked for before each second; closes the pairs."""
    steady.per_second = await pace()
    await steady.chat(WARM_UP)
    await steady.settled()
    steady.take()
    wanted, left = max(1, round(seconds)), PATIENCE * max(1, round(seconds))
    each = seconds / wanted
    every: list[list[float]] = []
    undisturbed: list[list[float]] = []
    while len(undisturbed) < wanted and len(every) < left:
        theft = Theft()
        steady.per_second = await pace()
        await steady.chat(each)
        await steady.settled()
        every.append(steady.take())
        if theft.share <= TAKEN:
            undisturbed.append(every[-1])
    await steady.close()
    counted = undisturbed if len(undisturbed) == wanted else every
    delays = [delay * 1000 for some in counted for delay in some]
    return Delays(percentile(delays, 50), percentile(delays, 99), len(delays) / (each * len(counted)))
