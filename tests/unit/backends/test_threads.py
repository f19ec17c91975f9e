"""The writer thread: natural grouping, order, failures; and a backup while it works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import EmbeddedCellar, EngineSettings
from imserver.backends.embedded.committer import ThreadCommitter
from imserver.backends.embedded.verify import verify
from imserver.model.messages import MessageAccepted
from tests.contracts.cellar_case import CellarCase
from tests.unit.backends.engine import temporary_directory

PATIENCE = 60.0


class _Threads:
    """`ports.Threads` with a real thread a call."""

    def __init__(self, turns: SimpleQueue[Callable[[], None]]) -> None:
        self._turns = turns

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()

        def work() -> None:
            try:
                result = function(*args)
            except Exception:
                failure = Failure()
                self._turns.put(lambda: done.errback(failure))
            else:
                self._turns.put(lambda: done.callback(result))

        threading.Thread(target=work, daemon=True).start()
        return done


class _Gate:
    """Failpoints that hold the writer before its commit."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.commits = 0
        self.full = False

    def hit(self, name: str) -> None:
        if name == "before-commit":
            self.open.wait(PATIENCE)
            self.commits += 1
            if self.full:
                self.full = False
                raise OSError("no space left on device")


class ThreadTest(CellarCase, SynchronousTestCase):
    """The engine as in production, its reactor played by the test."""

    def make_cellar(self, **settings: Any) -> EmbeddedCellar:
        self.clock = Clock()
        self.turns: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.gate = _Gate()
        self.directory = temporary_directory(self) / "data"
        self.embedded = EmbeddedCellar(
            self.directory,
            ThreadCommitter(lambda function, *args: self.turns.put(lambda: function(*args))),
            _Threads(self.turns),
            self.clock,
            time.time,
            lambda length: b"\1" * length,
            settings=EngineSettings(failure_pause=0.0, slice_pause=0.0, **settings),
            failpoints=self.gate,
        )
        self.embedded.open()
        self.addCleanup(self.close)
        return self.embedded

    def close(self) -> None:
        self.wait_for(self.embedded.close())
        self.assertEqual([], verify(self.directory))

    def turn(self) -> None:
        """One turn of the reactor."""
        self.clock.advance(0)
        self.turns.get(timeout=PATIENCE)()
        self.clock.advance(0)

    def wait_for(self, awaitable: Any) -> Any:
        outcome: list[Any] = []
        ensureDeferred(awaitable).addBoth(outcome.append)
        while not outcome:
            self.turn()
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]

    def settle(self) -> None:
        """Until everything sent so far was answered."""
        while len(self.sink.answers) < self._tickets:
            self.turn()

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", sends_per_second=0.0)

    def test_what_waits_goes_into_one_commit(self) -> None:
        self.gate.open.clear()
        self.submit("alice", "first", recipient="bob")
        self.clock.advance(0)
        before = self.gate.commits
        for number in range(50):
            self.submit("alice", f"{number}", recipient="bob")
            self.clock.advance(0)
        self.assertEqual([], self.sink.answers)
        self.gate.open.set()
        self.settle()
        self.assertLessEqual(self.gate.commits - before, 3)
        self.assertEqual(list(range(1, 52)), [answer.ticket for answer in self.sink.answers])
        self.assertEqual(["first", *map(str, range(50))], [text for _, text in self.texts("bob")])

    def test_a_failed_commit_refuses_all_that_was_decided_before_it_was_known(self) -> None:
        self.gate.open.clear()
        self.gate.full = True
        for number in range(5):
            self.submit("alice", f"{number}", recipient="bob", client_id=f"{number}")
            self.clock.advance(0)
        self.gate.open.set()
        self.settle()
        self.assertEqual([1, 2, 3, 4, 5], [answer.ticket for answer in self.sink.answers])
        self.assertEqual({"UNAVAILABLE"}, {str(self.code(ticket)) for ticket in range(1, 6)})
        self.assertEqual(1, self.send("alice", "0", recipient="bob", client_id="0").seq)
        self.assertEqual([(1, "0")], self.texts("bob"))

    def test_a_backup_while_messages_flow(self) -> None:
        for number in range(500):
            self.submit("alice", "x" * 2000, recipient="bob", client_id=f"a{number}")
        self.settle()
        target = self.directory.parent / "copy.db"
        outcome: list[Any] = []
        ensureDeferred(self.embedded.backup(target)).addBoth(outcome.append)
        number = 0
        while not outcome:
            for _ in range(20):
                number += 1
                self.submit("alice", "y" * 200, recipient="bob", client_id=f"b{number}")
            self.settle()
        self.assertEqual([None], outcome)
        self.assertEqual([], verify(target))
        self.assertTrue(all(isinstance(answer.outcome, MessageAccepted) for answer in self.sink.answers))
        self.assertEqual(500 + number, self.inbox("bob", limit=1).head)

    def test_indexes_are_written_while_messages_flow(self) -> None:
        self.embedded.settings.flush_rows = 50
        self.embedded.settings.slice_entries = 3
        for number in range(1000):
            self.submit("alice", f"{number}", recipient="bob", client_id=f"{number}")
            if number % 10 == 0:
                self.settle()
                page = self.inbox("bob", after=max(0, number - 30), limit=20)
                self.assertEqual(
                    [(seq, f"{seq - 1}") for seq in range(max(0, number - 30) + 1, page.rows[-1].seq + 1)],
                    [(row.seq, row.message.content.data.decode()) for row in page.rows],
                )
        self.settle()
        self.assertGreater(self.embedded.core.state.indexed_upto, 100)
        first = self.sink.answers[0].outcome
        self.assertEqual(first, self.send("alice", "0", recipient="bob", client_id="0"))
