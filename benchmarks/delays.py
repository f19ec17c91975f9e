"""How long durable messages take at a steady rate."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections import deque

from benchmarks.loads import TEXT, close, fresh
from benchmarks.machine import PATIENCE, TAKEN, Theft
from benchmarks.rates import WARM_UP
from benchmarks.servers import Running
from benchmarks.speakers import DIGITS, Speaker, connect_user

TICK = 0.002
"""Seconds between two bursts."""


class Steady:
    """Pairs that chat at one rate together, whatever becomes of their messages.

    Attributes:
        delays: seconds from the writing of each message to the reading of its push, as they come.
    """

    def __init__(self, per_second: float) -> None:
        self.delays: list[float] = []
        self._per_second = per_second
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
            due = int((now - begun) * self._per_second)
            for sender, head, tail, under_way in itertools.islice(turns, due - sent):
                under_way.append(time.perf_counter())
                sender.transport.write(b"%b%0*d%b" % (head, DIGITS, next(self._number), tail))
            sent = due
            await asyncio.sleep(TICK)

    async def settled(self) -> None:
        """All that was sent has arrived."""
        while any(under_way for *_, under_way in self._pairs):
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Ends it."""
        await close(self._speakers)


def percentile(delays: list[float], hundredth: int) -> float:
    """Of so many delays; in their unit."""
    return statistics.quantiles(delays, n=100)[hundredth - 1]


async def at_rate(
    server: Running, per_second: float, seconds: float, pairs: int = 100
) -> tuple[float, float]:
    """Milliseconds, p50 and p99, half of the pairs of document 001, half of 004; see `loads.rates`."""
    steady = Steady(per_second)
    for format in ("protobuf", "jsonline"):
        await steady.connect(server.ports, format, pairs // 2)
    await steady.chat(WARM_UP)
    await steady.settled()
    every: list[float] = []
    undisturbed: list[float] = []
    wanted, left = max(1, round(seconds)), PATIENCE * max(1, round(seconds))
    while wanted and left:
        steady.delays.clear()
        theft = Theft()
        await steady.chat(seconds / max(1, round(seconds)))
        await steady.settled()
        left -= 1
        every += steady.delays
        if theft.share <= TAKEN:
            wanted -= 1
            undisturbed += steady.delays
    await steady.close()
    delays = every if wanted else undisturbed
    return percentile(delays, 50) * 1000, percentile(delays, 99) * 1000
