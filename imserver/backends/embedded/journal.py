"""Between the decisions on the reactor thread and the writer: what waits, what is released, what failed.

Everything decided in one reactor turn goes into one open batch, which is handed
to the committer at the turn's end. Nothing is answered, fed or remembered as
done before its commit.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.embedded.committer import Batch, Committer, Task
from imserver.backends.embedded.settings import Failpoints
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted
from imserver.services.ports import Change, FeedSink


def unavailable(text: str = "the message store cannot write now") -> ImError:
    """The refusal of everything that waits when the disk fails."""
    return ImError(ErrorCode.UNAVAILABLE, text)


class Journal:
    """Total order of all writes, and their release.

    Attributes:
        generation: of the memory that decisions are based on. It grows when a
            commit fails; whatever was decided before is then refused.
        changes: the feed's changes of the commit being released (filled by tasks' `on_commit`).
        committed_to: called with the last log offset that is durable now.
        lost: called when a commit failed and memory must be read back.
        decide: called before the open batch is handed over: decides what waits for that (see `appends`).
        waiting_rows: records for the log handed over or open, not yet committed.
        serial: number of batches opened; `released` of them are finished.
    """

    _log: ClassVar[Any] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        committer: Committer,
        failpoints: Failpoints,
        committed_to: Callable[[int], None],
        lost: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._committer = committer
        self._failpoints = failpoints
        self._committed_to = committed_to
        self._lost = lost
        self._open: Batch | None = None
        self._handed_over: deque[Batch] = deque()
        self.sink: FeedSink | None = None
        self.decide: Callable[[], None] = _nobody_waits
        self.generation = 0
        self.changes: list[Change] = []
        self.waiting_rows = 0
        self.serial = 0
        self.released = 0

    def start(self, connection: sqlite3.Connection) -> None:
        """Starts the committer over the writer's connection."""
        self._committer.start(connection, self._failpoints, self._finished)

    def batch(self) -> Batch:
        """The open batch of this reactor turn."""
        batch = self._open
        if batch is None:
            batch = self._open = Batch(self.generation)
            self.serial += 1
            self._clock.callLater(0, self.hand_over)
        return batch

    def statement(self, sql: str, *parameters: Any) -> None:
        """Queues a statement that belongs to a decision already taken in memory."""
        self.batch().steps.append((sql, parameters))

    def task(
        self,
        run: Callable[[sqlite3.Connection], Any],
        *,
        isolated: bool = True,
        on_commit: Callable[[Any], None] | None = None,
    ) -> Deferred[Any]:
        """Queues work for the writer.

        Returns:
            fires with its result once durable; fails with its own exception, or
            with ImError UNAVAILABLE if nothing of the commit became durable.
        """
        task = Task(run, isolated=isolated, on_commit=on_commit)
        self.batch().steps.append(task)
        return task.done

    def afterwards(self, run: Callable[[sqlite3.Connection], Any]) -> Deferred[Any]:
        """Queues work for the writer outside any transaction (checkpoints)."""
        task = Task(run)
        self.batch().afterwards.append(task)
        return task.done

    def barrier(self) -> Deferred[Any]:
        """Fires once everything queued so far is durable; fails with UNAVAILABLE if it is not."""
        return self.task(_nothing)

    def hand_over(self) -> None:
        """Gives the open batch to the committer."""
        self.decide()
        batch, self._open = self._open, None
        if batch is not None:
            self._handed_over.append(batch)
            self._committer.submit(batch)

    def body(self, offset: int) -> bytes | None:
        """The record at this log offset, if it is still on its way to the disk."""
        waiting = self._handed_over if self._open is None else [*self._handed_over, self._open]
        for batch in waiting:
            if batch.generation != self.generation:
                continue  # to be refused: its offsets are given anew
            if batch.first <= offset <= batch.last:
                return batch.bodies[offset - batch.first]
        return None

    def stop(self) -> None:
        """Ends the committer after what is queued."""
        self.hand_over()
        self._committer.stop()

    def _finished(self, batches: Sequence[Batch], error: Exception | None) -> None:
        for _ in batches:  # in the order in which they were handed over
            self._handed_over.popleft()
        if error is not None:
            self._failed(batches, error)
            return
        rows = 0
        last = 0
        for batch in batches:
            if batch.bodies:
                rows += len(batch.bodies)
                last = batch.last
        self.waiting_rows -= rows
        self.released += len(batches)
        if last:
            self._committed_to(last)
        tasks: list[Task] = []
        for batch in batches:
            for step in batch.steps:
                if isinstance(step, Task):
                    tasks.append(step)
                    if step.on_commit is not None and step.error is None:
                        step.on_commit(step.result)
            tasks.extend(batch.afterwards)
        self._release(batches)
        for task in tasks:
            if task.error is None:
                task.done.callback(task.result)
            else:
                # Its traceback holds the batches, and with them the task.
                failure, task.error = Failure(task.error), None
                task.done.errback(failure)

    def _release(self, batches: Sequence[Batch]) -> None:
        if len(batches) == 1:
            (batch,) = batches
            tickets, outcomes, entries = batch.tickets, batch.outcomes, batch.entries
        else:
            tickets = [ticket for batch in batches for ticket in batch.tickets]
            outcomes = [outcome for batch in batches for outcome in batch.outcomes]
            entries = [entry for batch in batches for entry in batch.entries]
        changes, self.changes = self.changes, []
        sink = self.sink
        if sink is None:
            return
        if tickets:
            self._failpoints.hit("before-ack")
            self._tell(sink.answered, tickets, outcomes)
            self._failpoints.hit("after-ack")
        if entries or changes:
            self._failpoints.hit("before-push")
            if entries:
                self._tell(sink.committed, entries)
            if changes:
                self._tell(sink.changed, changes)
            self._failpoints.hit("after-push")

    def _tell(self, consumer: Callable[..., None], *things: Any) -> None:
        try:
            consumer(*things)
        except Exception:
            # What is committed stays committed, whatever its consumer makes of it.
            self._log.failure("the consumer of the feed failed")

    def _failed(self, batches: Sequence[Batch], error: Exception) -> None:
        if batches[-1].generation == self.generation:
            self._log.error("a commit failed, all that waited is refused: {error}", error=str(error))
            # What was decided later is refused later, hence the way through the committer.
            self.hand_over()
            self.generation += 1
            self._lost()
        self.released += len(batches)
        tickets: list[Any] = []
        outcomes: list[MessageAccepted | ImError] = []
        tasks: list[Task] = []
        for batch in batches:
            self.waiting_rows -= len(batch.bodies)
            tickets += batch.tickets
            outcomes += [
                outcome if isinstance(outcome, ImError) else unavailable() for outcome in batch.outcomes
            ]
            tasks.extend(step for step in batch.steps if isinstance(step, Task))
            tasks.extend(batch.afterwards)
        if tickets and self.sink is not None:
            self._tell(self.sink.answered, tickets, outcomes)
        for task in tasks:
            task.done.errback(Failure(unavailable()))


def _nothing(connection: sqlite3.Connection) -> None:
    """The barrier's work."""


def _nobody_waits() -> None:
    """Nothing is to be decided."""
