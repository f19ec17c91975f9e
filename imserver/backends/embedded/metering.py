"""Counts what the writer does: commits, their sizes and how long they were waited for.

Only plain numbers, changed on the reactor thread once per batch.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence

from imserver.backends.embedded.committer import Batch, Committer, Finished
from imserver.backends.embedded.settings import Failpoints
from imserver.services.histogram import Histogram

ROWS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class MeteredCommitter:
    """A committer that counts what another one does.

    Args:
        committer: does the work.
        clock: monotonic float seconds.

    Attributes:
        rows: records for the log per transaction.
        seconds: from handing over a transaction's first batch until it was durable and told.
        failures: transactions that failed.
        unconfirmed: always 0: nobody else has to confirm them.
    """

    def __init__(self, committer: Committer, clock: Callable[[], float]) -> None:
        self._committer = committer
        self._clock = clock
        self._submitted: deque[float] = deque()
        self._finished: Finished | None = None
        self.rows = Histogram(ROWS)
        self.seconds = Histogram(SECONDS)
        self.failures = 0
        self.unconfirmed = 0

    def start(self, connection: sqlite3.Connection, failpoints: Failpoints, finished: Finished) -> None:
        """See `Committer.start`."""
        self._finished = finished
        self._committer.start(connection, failpoints, self._done)

    def submit(self, batch: Batch) -> None:
        """See `Committer.submit`."""
        self._submitted.append(self._clock())
        self._committer.submit(batch)

    def stop(self) -> None:
        """See `Committer.stop`."""
        self._committer.stop()

    def _done(self, batches: Sequence[Batch], error: Exception | None) -> None:
        since = self._submitted[0]
        for _ in batches:
            # Batches finish in the order in which they were submitted.
            self._submitted.popleft()
        if error is None:
            self.rows.observe(sum(len(batch.bodies) for batch in batches))
            self.seconds.observe(self._clock() - since)
        else:
            self.failures += 1
        assert self._finished is not None
        self._finished(batches, error)
