"""The writer: takes all batches that wait into one transaction and commits it.

`run_batches` is the transaction itself, the same for every committer; which
thread runs it, when, and with which faults is the committer's affair.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from imserver.backends.embedded.log_packing import rows_of
from imserver.backends.embedded.log_rows import INSERT_LOG, last_offset
from imserver.backends.embedded.settings import Failpoints
from imserver.model.errors import ImError
from imserver.model.messages import MessageAccepted
from imserver.services.ports import Entry, EntryRow

Statement = tuple[str, Sequence[Any]]
BATCH_ROWS = 1024
"""Records above which the writer commits before it takes more."""


class Task:
    """Work for the writer beside log rows.

    Attributes:
        run: called with the writer's connection, inside the transaction.
        isolated: runs in a savepoint; an exception fails this task alone.
            Otherwise it fails the whole transaction.
        on_commit: called on the reactor thread with the result, before anything is released.
        done: fires with the result after the commit, or fails.
    """

    __slots__ = ("done", "error", "isolated", "on_commit", "result", "run")

    def __init__(
        self,
        run: Callable[[sqlite3.Connection], Any],
        *,
        isolated: bool = True,
        on_commit: Callable[[Any], None] | None = None,
    ) -> None:
        self.run = run
        self.isolated = isolated
        self.on_commit = on_commit
        self.result: Any = None
        self.error: Exception | None = None
        self.done: Deferred[Any] = Deferred()


class Batch:
    """What one reactor turn wants durable, and what it releases once it is.

    Attributes:
        generation: of the memory it was decided on; see `Journal`.
        first: the log offset of the first record,
        bodies: the records of this offset and those that follow it.
        steps: statements (failing the transaction if they fail) and tasks, in order.
        afterwards: run by the writer after the COMMIT, outside any transaction.
        tickets, outcomes: what is answered to sends, in their order.
    """

    __slots__ = ("afterwards", "bodies", "entries", "first", "generation", "outcomes", "steps", "tickets")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.first = 0
        self.bodies: list[bytes] = []
        self.steps: list[Statement | Task] = []
        self.afterwards: list[Task] = []
        self.tickets: list[Any] = []
        self.outcomes: list[MessageAccepted | ImError] = []
        self.entries: list[Entry | EntryRow] = []

    def add(self, offset: int, body: bytes) -> None:
        """Takes a record for the log."""
        if not self.bodies:
            self.first = offset
        self.bodies.append(body)

    @property
    def last(self) -> int:
        """The log offset of the last record; smaller than `first` if there is none."""
        return self.first + len(self.bodies) - 1


Finished = Callable[[Sequence[Batch], Exception | None], None]
"""Told, on the reactor thread, that these batches were committed (None) or not."""


class Committer(Protocol):
    """Makes batches durable, in the order in which they are submitted."""

    def start(self, connection: sqlite3.Connection, failpoints: Failpoints, finished: Finished) -> None:
        """Called once, before anything else."""

    def submit(self, batch: Batch) -> None:
        """Queues a batch. After a failed commit, batches of that generation are only refused."""

    def stop(self) -> None:
        """Ends the writer after what is queued. Idempotent."""


def run_batches(connection: sqlite3.Connection, batches: Sequence[Batch], failpoints: Failpoints) -> None:
    """One transaction.

    Raises:
        Exception: nothing of it is on the disk.
    """
    if any(batch.bodies or batch.steps for batch in batches):
        try:
            failpoints.hit("before-insert")
            connection.execute("BEGIN IMMEDIATE")
            waiting: list[Batch] = []
            for batch in batches:
                if batch.bodies:
                    waiting.append(batch)
                if batch.steps:
                    _write(connection, waiting)  # steps may read them
                    waiting = []
                for step in batch.steps:
                    if isinstance(step, Task):
                        _run_task(connection, step)
                    else:
                        connection.execute(*step)
            _write(connection, waiting)
            failpoints.hit("after-insert")
            failpoints.hit("before-commit")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        failpoints.hit("after-commit")
    for batch in batches:
        for task in batch.afterwards:
            try:
                task.result = task.run(connection)
            except Exception as error:
                task.error = error


def _write(connection: sqlite3.Connection, batches: Sequence[Batch]) -> None:
    """Writes the records of several batches."""
    records = chain.from_iterable(enumerate(batch.bodies, batch.first) for batch in batches)
    INSERT_LOG(connection, rows_of(records))


def _run_task(connection: sqlite3.Connection, task: Task) -> None:
    if not task.isolated:
        task.result = task.run(connection)
        return
    connection.execute("SAVEPOINT task")
    try:
        task.result = task.run(connection)
    except Exception as error:
        task.result, task.error = None, error
        # The file being full or unreadable is nobody's own failure (and may have ended the transaction).
        if isinstance(error, sqlite3.OperationalError) or not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO task")
    connection.execute("RELEASE task")


class Runner:
    """Runs batches, and after a failure refuses those that were decided on the memory before it."""

    def __init__(self, connection: sqlite3.Connection, failpoints: Failpoints) -> None:
        self._connection = connection
        self._failpoints = failpoints
        self._last = last_offset(connection)
        self._refused = -1
        self._reason: Exception | None = None

    def run(self, batches: Sequence[Batch]) -> list[tuple[Sequence[Batch], Exception | None]]:
        """Returns what to tell: batches in order, with the error or None."""
        outcomes: list[tuple[Sequence[Batch], Exception | None]] = []
        stale = [batch for batch in batches if batch.generation <= self._refused]
        fresh = batches[len(stale) :]
        if stale:
            outcomes.append((stale, self._reason))
        if fresh:
            error: Exception | None = None
            try:
                last = self._checked(fresh)
                run_batches(self._connection, fresh, self._failpoints)
                self._last = last
            except Exception as caught:
                error = self._reason = caught.with_traceback(None)  # which would hold the batches
                self._refused = fresh[-1].generation
            outcomes.append((fresh, error))
        return outcomes

    def _checked(self, batches: Sequence[Batch]) -> int:
        """The last log offset of these. None is used twice, which SQLite would not see in shared rows."""
        last = self._last
        for batch in batches:
            if batch.bodies:
                if batch.first <= last:
                    raise sqlite3.IntegrityError(f"log offset {batch.first} is not behind {last}")
                last = batch.last
        return last


class ThreadCommitter:
    """A writer thread. Whatever has queued up while it synced goes into its next transaction.

    Args:
        call_from_thread: IReactorFromThreads.callFromThread.
    """

    def __init__(self, call_from_thread: Callable[..., Any]) -> None:
        self._call_from_thread = call_from_thread
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._writer: threading.Thread | None = None

    def start(self, connection: sqlite3.Connection, failpoints: Failpoints, finished: Finished) -> None:
        """Starts the thread."""
        self._writer = threading.Thread(
            target=self._work, args=(connection, failpoints, finished), name="imserver-writer", daemon=True
        )
        self._writer.start()

    def submit(self, batch: Batch) -> None:
        """Hands it to the thread."""
        self._queue.put(batch)

    def stop(self) -> None:
        """Lets the thread finish its queue and waits for it."""
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None

    def _work(self, connection: sqlite3.Connection, failpoints: Failpoints, finished: Finished) -> None:
        runner = Runner(connection, failpoints)
        while True:
            batches, last = self._take()
            for done, error in runner.run(batches):
                self._call_from_thread(finished, done, error)
            if last:
                return

    def _take(self) -> tuple[list[Batch], bool]:
        batch = self._queue.get()
        batches: list[Batch] = []
        rows = 0
        while batch is not None:
            batches.append(batch)
            rows += len(batch.bodies)
            if rows >= BATCH_ROWS:
                return batches, False
            try:
                batch = self._queue.get_nowait()
            except Empty:
                return batches, False
        return batches, True
