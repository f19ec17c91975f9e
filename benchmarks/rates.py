"""How many messages a second a server takes, by itself or in turn with another one.

Machines that others share are now faster, now slower, by half and for minutes. So what is a ratio is
measured in turn: for a second one server runs and the other one stands still as a whole (SIGSTOP), so that
it has no background work either, then the other way round.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from benchmarks.figures import Measured
from benchmarks.machine import PATIENCE, TAKEN, cpu_seconds, stolen
from benchmarks.speakers import Speaker

WARM_UP = 1.0
SIGNS_EVERY = 10
"""Rounds."""
SETTLE = 0.2
"""Seconds after its turn has begun until a server is measured."""


class Load:
    """A server that is kept busy.

    Args:
        pid: its process.
        counters: the connections whose frames count.
        end: closes all connections.
        silent: these only listen, and would be taken for dead after a while.
    """

    def __init__(
        self,
        pid: int,
        counters: Sequence[Speaker],
        end: Callable[[], Awaitable[None]],
        *,
        silent: bool = True,
    ) -> None:
        self.pid = pid
        self.counters = counters
        self.end = end
        self._silent = silent

    @property
    def frames(self) -> int:
        """That came so far.

        Raises:
            RuntimeError: one of the connections is lost.
        """
        if any(counter.transport.is_closing() for counter in self.counters):
            raise RuntimeError("a connection was lost")
        return sum(counter.frames for counter in self.counters)

    def sign_of_life(self) -> None:
        """Of those who only listen."""
        for counter in self.counters if self._silent else ():
            counter.sign_of_life()

    def hold(self) -> None:
        """The server stands still."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """It does not any more."""
        os.kill(self.pid, signal.SIGCONT)


class Piece(NamedTuple):
    """What was counted in a second or so.

    Attributes:
        took: seconds; `used` are the server's processor time, `own` this program's, and `taken` what the
            machine's host took of a core.
    """

    frames: int
    took: float
    used: float
    own: float
    taken: float


async def measured(load: Load, seconds: float, measure: Load | None = None) -> Measured:
    """Frames a second that the connections receive, after a while to warm up; ends the loads.

    Seconds in which the machine's host had something else to do count only where there are not enough others.

    Args:
        measure: what it is compared with; measured in turn with it.
    """
    loads = [load] if measure is None else [load, measure]
    await asyncio.sleep(WARM_UP)
    rounds: list[list[Piece]] = []
    undisturbed: list[list[Piece]] = []
    wanted = max(1, round(seconds))
    try:
        while len(undisturbed) < wanted and len(rounds) < PATIENCE * wanted:
            pieces = await _round(loads, seconds / wanted, backwards=len(rounds) % 2 == 1)
            rounds.append(pieces)
            if len(rounds) % SIGNS_EVERY == 0:
                for one in loads:
                    one.sign_of_life()
            if all(piece.taken <= TAKEN * piece.took for piece in pieces):
                undisturbed.append(pieces)
    finally:
        for one in loads:
            with contextlib.suppress(ProcessLookupError):
                one.go_on()
    for one in loads:
        await one.end()
    counted = undisturbed if len(undisturbed) == wanted else rounds
    first, *others = (_summed_up(list(pieces)) for pieces in zip(*counted, strict=True))
    for other in others:
        first = first._replace(measure=other.value, measure_per_core=other.per_core)
    return first


async def _round(loads: list[Load], seconds: float, *, backwards: bool) -> list[Piece]:
    """One piece of each, in this order or backwards, so that what drifts favours none."""
    pieces = []
    for load in reversed(loads) if backwards else loads:
        if len(loads) > 1:
            for other in loads:
                if other is not load:
                    other.hold()
            load.go_on()
            await asyncio.sleep(SETTLE)
        pieces.append(await piece(load, seconds))
    return pieces[::-1] if backwards else pieces


async def piece(load: Load, seconds: float) -> Piece:
    """Counts what comes now."""
    frames, begun, taken = load.frames, time.perf_counter(), stolen()
    used, own = cpu_seconds(load.pid), time.process_time()
    await asyncio.sleep(seconds)
    return Piece(
        load.frames - frames,
        time.perf_counter() - begun,
        cpu_seconds(load.pid) - used,
        time.process_time() - own,
        stolen() - taken,
    )


def _summed_up(pieces: list[Piece]) -> Measured:
    frames, took, used, own, taken = (sum(column) for column in zip(*pieces, strict=True))
    return Measured(frames / took, frames / max(used, 0.01), own / took, taken / took)
