"""What the tests of accounts and groups stand on: weak argon2, a settable clock, counted randomness."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred, execute
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.services.keys import KeyRing, new_key
from imserver.services.passwords import PasswordHasher
from imserver.services.ports import Threads

T = TypeVar("T")
START = 1_700_000_000.0


class Time:
    """A clock that goes when told to."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Chance:
    """Bytes that never repeat and are the same in every run."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def __call__(self, size: int) -> bytes:
        return next(self._count).to_bytes(size, "big")


def weak_hasher(threads: Threads) -> PasswordHasher:
    """Real argon2id at its cheapest."""
    return PasswordHasher(threads, time_cost=1, memory_kib=8, parallelism=1, random_bytes=Chance())


class InlineThreads:
    """services.ports.Threads that works at once and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        self.calls += 1
        return execute(function, *args)


class HeldThreads:
    """services.ports.Threads whose work waits, at most `limit` at a time, until the test runs it."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._waiting: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if len(self._waiting) >= self._limit:
            raise ImError(ErrorCode.UNAVAILABLE, "the server is busy")
        begun: Deferred[None] = Deferred()
        self._waiting.append(begun)
        return begun.addCallback(lambda _: function(*args))

    def run(self) -> None:
        """Does everything that waits."""
        while self._waiting:
            self._waiting.pop(0).callback(None)


def key_ring() -> KeyRing:
    """A ring with one own key that is not saved anywhere."""
    chance = Chance()
    return KeyRing([new_key(chance)], chance)


class ServiceCase(SynchronousTestCase):
    """Runs coroutines that need no reactor."""

    def settle(self) -> None:
        """Lets everything happen that waits for nothing but a turn; for subclasses with a clock."""

    def start(self, work: Coroutine[Any, Any, T]) -> Deferred[T]:
        """Runs it as far as it goes."""
        return ensureDeferred(work)

    def run_now(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs it to its end and gives its result."""
        running = self.start(work)
        self.settle()
        result: T = self.successResultOf(running)
        return result

    def refused(self, code: ErrorCode, work: Coroutine[Any, Any, Any] | Deferred[Any]) -> ImError:
        """Runs it to its end, which must be this refusal."""
        deferred = work if isinstance(work, Deferred) else self.start(work)
        self.settle()
        error = self.failureResultOf(deferred, ImError).value
        assert isinstance(error, ImError)
        self.assertEqual(error.code, code, error.text)
        return error
