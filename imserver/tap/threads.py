"""A bounded pool of threads for work that would block the reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from imserver.model.errors import ErrorCode, ImError


class BoundedThreads:
    """Implements services.ports.Threads.

    A queue without bound would let a burst of log-ins (26 ms of hashing each)
    grow into minutes of waiting; what finds it full is refused and may be retried.
    """

    def __init__(self, reactor: IReactorFromThreads, threads: int, queue: int, name: str) -> None:
        """Args:
        threads: calls running at the same time.
        queue: calls waiting beyond those.
        """
        self._reactor = reactor
        self._pool = ThreadPool(1, threads, name)
        self._limit = threads + queue
        self._running = 0

    def start(self) -> None:
        """Starts the pool."""
        self._pool.start()

    def stop(self) -> None:
        """Waits for what runs and ends the threads. What still comes is refused."""
        self._limit = 0
        self._pool.stop()

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """See services.ports.Threads."""
        if self._running >= self._limit:
            # Not a Deferred that has failed: awaited, it makes a cycle of its failure and all who wait.
            raise ImError(ErrorCode.UNAVAILABLE, "the server is busy; try again")
        self._running += 1
        result: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, function, *args)
        return result.addBoth(self._done)

    def _done(self, result: Any) -> Any:
        self._running -= 1
        return result
