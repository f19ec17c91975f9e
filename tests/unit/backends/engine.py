"""The embedded engine under a test's control: one thread, one clock, crashes on demand."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import EmbeddedCellar, EngineSettings
from imserver.backends.embedded.database import Database, MemoryDatabase
from imserver.backends.embedded.memory import ScheduledCommitter, deterministic_cellar
from tests.contracts.cellar_case import CellarCase, Recorder

T = TypeVar("T")
TURNS = 400


class Crash(BaseException):
    """The process ends at this point."""


class CrashAt:
    """Failpoints that end the process at the nth passing of a point."""

    def __init__(self) -> None:
        self.name = ""
        self.left = 0
        self.passed: list[str] = []

    def arm(self, name: str, count: int = 1) -> None:
        """From now on."""
        self.name, self.left = name, count

    def hit(self, name: str) -> None:
        """See Failpoints."""
        self.passed.append(name)
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                raise Crash(name)


def temporary_directory(case: SynchronousTestCase) -> Path:
    """A directory that goes with the test."""
    path = Path(tempfile.mkdtemp(prefix="imserver-test-"))
    case.addCleanup(shutil.rmtree, path)
    return path


class EngineCase(CellarCase):
    """Makes engines over one database in memory."""

    embedded: EmbeddedCellar

    def make_cellar(self, **settings: Any) -> EmbeddedCellar:
        """A fresh engine."""
        self.clock = Clock()
        self.database: Database = self.make_database()
        self.settings = EngineSettings(**{"failure_pause": 0.0, "slice_pause": 0.0, **settings})
        return self.start()

    def make_database(self) -> Database:
        """Where it lives."""
        return MemoryDatabase()

    def start(self) -> EmbeddedCellar:
        """Opens an engine over the database as it is."""
        self.failpoints = CrashAt()
        self.committer = ScheduledCommitter(self.clock)
        self.embedded = deterministic_cellar(
            self.clock,
            database=self.database,
            settings=self.settings,
            committer=self.committer,
            failpoints=self.failpoints,
        )
        self.embedded.open()
        return self.embedded

    def reopen(self) -> None:
        """A new process over the same database; what the old one had not committed is lost."""
        self.committer.crash()
        for call in list(self.clock.getDelayedCalls()):
            call.cancel()
        self.cellar = self.start()
        self.sink = Recorder()
        self.cellar.store.attach(self.sink)

    def restart(self) -> None:
        """A clean stop and start."""
        self.wait_for(self.embedded.close())
        self.reopen()

    def wait_for(self, awaitable: Awaitable[T]) -> T:
        """Turns the clock until it has ended."""
        outcome: list[Any] = []
        waiting: Deferred[Any] = ensureDeferred(awaitable)  # type: ignore[arg-type]
        waiting.addBoth(outcome.append)
        for _ in range(TURNS):
            if outcome:
                break
            self.clock.advance(0)
        assert outcome, "it does not end"
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        result: T = outcome[0]
        return result

    def settle(self) -> None:
        """Turns the clock until nothing is due now."""
        for _ in range(TURNS):
            self.clock.advance(0)
            if not any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
                return
        raise AssertionError("it does not settle")

    def later(self, seconds: float) -> None:
        """Lets time pass."""
        self.settle()
        self.clock.advance(seconds)
        self.settle()

    def flush(self) -> None:
        """Writes the indexes."""
        self.settle()
        self.wait_for(self.embedded.indexer.flush())
