"""The engine on one thread: for unit tests, and for the simulation to schedule and break.

Nothing here is faked but the thread and the disk: the transactions, the log and
the indexes are those of production.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorTime

from imserver.backends.embedded.cellar import EmbeddedCellar
from imserver.backends.embedded.committer import BATCH_ROWS, Batch, Finished, Runner
from imserver.backends.embedded.database import Database, MemoryDatabase
from imserver.backends.embedded.settings import EngineSettings, Failpoints, NoFailpoints


class InlineThreads:
    """`ports.Threads` that does the work at once."""

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Runs it; returns a Deferred that has fired."""
        return execute(function, *args)


class ScheduledCommitter:
    """A writer that runs on the test's own thread.

    Args:
        clock: schedules the transactions.
        delay: seconds until the next one, asked each time; default 0, the clock's next turn.

    Attributes:
        held: while True nothing runs by itself; call `run`.
        failures: how many of the next transactions fail at their COMMIT, as on a full disk.
    """

    def __init__(self, clock: IReactorTime, delay: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._delay = delay
        self._queue: list[Batch] = []
        self._scheduled = False
        self._runner: Runner | None = None
        self._finished: Finished | None = None
        self._stopped = False
        self.held = False
        self.failures = 0

    def start(self, connection: sqlite3.Connection, failpoints: Failpoints, finished: Finished) -> None:
        """See `Committer.start`."""
        self._runner = Runner(connection, _Faults(self, failpoints))
        self._finished = finished

    def submit(self, batch: Batch) -> None:
        """See `Committer.submit`."""
        self._queue.append(batch)
        if not self.held:
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._clock.callLater(self._delay() if self._delay is not None else 0.0, self._due)

    def _due(self) -> None:
        self._scheduled = False
        if not self.held:
            self.run()
            if self._queue:
                self._schedule()

    def run(self) -> None:
        """One transaction with what waits, and its consequences."""
        if self._stopped or not self._queue:
            return
        assert self._runner is not None
        assert self._finished is not None
        count, rows = 0, 0
        while count < len(self._queue) and rows < BATCH_ROWS:
            rows += len(self._queue[count].bodies)
            count += 1
        batches, self._queue = self._queue[:count], self._queue[count:]
        for done, error in self._runner.run(batches):
            self._finished(done, error)

    def stop(self) -> None:
        """See `Committer.stop`."""
        while self._queue and not self._stopped:
            self.run()
        self._stopped = True

    def crash(self) -> None:
        """The process ends here: what waits is lost, nobody is told."""
        self._stopped = True
        self._queue.clear()


class _Faults:
    """Makes the transactions fail that the committer was told to fail."""

    def __init__(self, committer: ScheduledCommitter, failpoints: Failpoints) -> None:
        self._committer = committer
        self._failpoints = failpoints

    def hit(self, name: str) -> None:
        """Passes it on; raises at the COMMIT of a transaction that must fail."""
        self._failpoints.hit(name)
        if name == "before-commit" and self._committer.failures > 0:
            self._committer.failures -= 1
            raise sqlite3.OperationalError("database or disk is full")


def deterministic_cellar(
    clock: IReactorTime,
    *,
    database: Database | None = None,
    settings: EngineSettings | None = None,
    committer: ScheduledCommitter | None = None,
    wall: Callable[[], float] | None = None,
    random_bytes: Callable[[int], bytes] | None = None,
    failpoints: Failpoints | None = None,
    node: int = 0,
) -> EmbeddedCellar:
    """An engine that does nothing behind the test's back; not opened yet.

    Each commit happens in a turn of the clock: `clock.advance(0)` twice answers
    what was appended before (once to hand over, once to commit); `settle` does it.

    Args:
        database: default a new one in memory; give the same one again to reopen after a crash.
        wall: default the clock's seconds since an arbitrary day.
    """
    return EmbeddedCellar(
        database if database is not None else MemoryDatabase(),
        committer if committer is not None else ScheduledCommitter(clock),
        InlineThreads(),
        clock,
        wall if wall is not None else lambda: 1_700_000_000.0 + clock.seconds(),
        random_bytes if random_bytes is not None else _counting_bytes(),
        node=node,
        settings=settings if settings is not None else EngineSettings(failure_pause=0.0, slice_pause=0.0),
        failpoints=failpoints if failpoints is not None else NoFailpoints(),
    )


def _counting_bytes() -> Callable[[int], bytes]:
    count = 0

    def next_bytes(length: int) -> bytes:
        nonlocal count
        count += 1
        return count.to_bytes(length, "big")

    return next_bytes
