"""Records that share rows of the log are found, replaced and cut like those that have one each."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import log_packing
from imserver.backends.embedded.committer import Batch, Runner, Task
from imserver.backends.embedded.log_packing import ROW_BYTES, rows_of
from imserver.backends.embedded.log_rows import (
    INSERT_LOG,
    LogReader,
    ascending,
    bodies_of,
    cut,
    descending,
    last_offset,
    replace,
)
from imserver.backends.embedded.records import FanoutRecord, encode
from imserver.backends.embedded.settings import NoFailpoints
from imserver.backends.embedded.verify import verify_connection
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import RevokeMessage
from tests.unit.backends.engine import EngineCase


def record(size: int, mark: int = 0) -> bytes:
    return encode(FanoutRecord(mark, bytes(size)))


def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE log (offset INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    return connection


SIZES = st.lists(st.sampled_from([0, 10, 100, 400, ROW_BYTES - 10, ROW_BYTES, 5000]), min_size=1, max_size=12)
COMMITS = st.lists(st.tuples(st.integers(1, 3), SIZES), min_size=1, max_size=6)
"""(distance from what was before, sizes of what is written at a time)."""


class LogRowsTest(SynchronousTestCase):
    def test_what_fits_shares_a_row(self) -> None:
        bodies = [record(100, number) for number in range(30)]
        rows = [*rows_of(enumerate(bodies, 7))]
        self.assertEqual([offset for offset, _ in rows], [7, 19, 31])
        self.assertEqual([body for _, row in rows for body in map(bytes, bodies_of(row))], bodies)
        self.assertTrue(all(len(row) <= ROW_BYTES + 4 for _, row in rows))

    def test_one_has_its_row_as_ever(self) -> None:
        for body in (record(10), record(100_000), encode((0, "id", 1, *range(19)))):
            self.assertEqual([*rows_of([(3, body)])], [(3, body)])
            self.assertEqual(bodies_of(body), (body,))
        self.assertEqual([*rows_of([])], [])

    @settings(deadline=None)
    @given(COMMITS, st.data())
    def test_as_if_each_had_its_row(self, commits: Any, data: Any) -> None:
        with closing(table()) as connection:
            model: dict[int, bytes] = {}
            offset = 0
            for distance, sizes in commits:
                offset += distance
                bodies = [record(size, offset + number) for number, size in enumerate(sizes)]
                INSERT_LOG(connection, [*rows_of(enumerate(bodies, offset))])
                model.update(enumerate(bodies, offset))
                offset += len(sizes) - 1
            for where in data.draw(st.lists(st.sampled_from(sorted(model)), max_size=5)):
                model[where] = record(data.draw(st.sampled_from([0, 700, 3000])), 99)
                replace(connection, where, model[where])
                self._compare(connection, model)
            floor = data.draw(st.integers(1, max(model)))
            cut(connection, floor)
            connection.execute("DELETE FROM log WHERE offset < ?", (floor,))
            self._compare(connection, {where: body for where, body in model.items() if where >= floor})

    def _compare(self, connection: sqlite3.Connection, model: dict[int, bytes]) -> None:
        last = max(model)
        self.assertEqual(last_offset(connection), last)
        log = LogReader(connection)
        for place in [*range(last + 3), *range(last + 2, -1, -2)]:
            body = log.body(place)
            self.assertEqual(None if body is None else bytes(body), model.get(place), place)
        for start in range(0, last + 2, 3):
            self.assertEqual(
                [(at, bytes(body)) for at, body in ascending(connection, start)],
                sorted((at, body) for at, body in model.items() if at >= start),
            )
            self.assertEqual(
                [bytes(body) for body in descending(connection, start)],
                [model[at] for at in sorted(model, reverse=True) if at <= start],
            )

    def test_nothing_there(self) -> None:
        with closing(table()) as connection:
            self.assertEqual(last_offset(connection), 0)
            self.assertIsNone(LogReader(connection).body(1))
            self.assertEqual(([*ascending(connection, 0)], [*descending(connection, 9)]), ([], []))
            cut(connection, 5)


class SharedRowsTest(EngineCase, SynchronousTestCase):
    """Through the engine: several sends, which are committed together."""

    def begin(self, apart: float = 0.0, **limits: float) -> list[str]:
        self.patch(log_packing, "ROW_BYTES", 600)
        self.open_cellar("alice", "bob", sends_per_second=0.0, **limits)
        self.addCleanup(lambda: self.wait_for(self.embedded.close()))
        self.committer.held = True
        for number in range(10):
            self.submit("alice", f"text {number}", recipient="bob", client_id=f"c{number}")
            self.later(apart)
        self.committer.held = False
        self.settle_commits()
        self.assertTrue(1 < len(self.rows()) < 10, self.rows())
        return [entry.message.message_id for entry in self.sink.entries]

    def settle_commits(self) -> None:
        self.committer.run()
        self.settle()

    def rows(self) -> list[int]:
        return [offset for (offset,) in self.embedded.core.reader.execute("SELECT offset FROM log")]

    def expect(self, texts: list[str]) -> None:
        self.assertEqual([text for _, text in self.texts("bob")], texts)
        self.assertEqual(self.history("bob", recipient="alice"), texts)
        core = self.embedded.core
        self.assertEqual(verify_connection(core.reader, now=core.wall()), [])

    def test_read_back(self) -> None:
        self.begin()
        texts = [f"text {number}" for number in range(10)]
        for again in (self.settle, self.reopen, self.flush, self.restart):
            again()
            self.expect(texts)
        self.assertEqual(self.send("alice", "text 4", recipient="bob", client_id="c4").seq, 5)
        self.assertEqual(self.send("alice", "new", recipient="bob").seq, 11)

    def test_one_is_taken_back(self) -> None:
        ids = self.begin()
        alice = self.principal("alice")
        for number in (4, 9):
            self.wait_for(self.cellar.store.revoke(alice, RevokeMessage(ids[number]), 1e9))
        for again in (self.settle, self.reopen, self.flush, self.restart):
            again()
            self.expect(["" if number in (4, 9) else f"text {number}" for number in range(10)])
        self.submit("alice", "another", recipient="bob", client_id="c4")
        self.settle()
        outcome = self.sink.answers[-1].outcome
        self.assertTrue(isinstance(outcome, ImError) and outcome.code is ErrorCode.CONFLICT, outcome)

    def test_old_ones_go(self) -> None:
        self.begin(apart=86400.0, retention_seconds=86400.0 * 5.5)
        before = self.rows()
        self.wait_for(self.embedded.trim(self.embedded.core.wall()))
        floor = self.embedded.core.state.floor
        self.assertNotIn(floor, before)  # it is within a row
        self.assertEqual(self.rows()[0], floor)
        for again in (self.settle, self.reopen, self.flush, self.restart):
            again()
            self.expect([f"text {number}" for number in range(floor - 1, 10)])

    def test_a_retry_of_one_that_is_on_the_way(self) -> None:
        self.open_cellar("alice", "bob", sends_per_second=0.0)
        self.addCleanup(lambda: self.wait_for(self.embedded.close()))
        self.committer.held = True
        tickets = [self.submit("alice", f"{n}", recipient="bob", client_id=f"c{n}") for n in range(5)]
        self.settle()  # all of them wait in one batch
        again = [self.submit("alice", f"{n}", recipient="bob", client_id=f"c{n}") for n in range(5)]
        self.settle()
        self.committer.held = False
        self.settle_commits()
        for first, second in zip(tickets, again, strict=True):
            self.assertEqual(self.accepted(first).message_id, self.accepted(second).message_id)
        self.expect([f"{n}" for n in range(5)])

    def test_verify_sees_rows_that_overlap(self) -> None:
        self.begin()
        self.restart()
        reader = self.embedded.core.reader
        rows = reader.execute("SELECT offset, body FROM log").fetchall()
        first, row = next((first, row) for first, row in rows if len(bodies_of(row)) > 1)
        reader.execute("INSERT INTO log VALUES (?, ?)", (first + 1, bodies_of(row)[1]))
        faults = verify_connection(reader, now=self.embedded.core.wall())
        self.assertTrue(any("is in a row behind" in fault for fault in faults), faults)
        reader.execute("DELETE FROM log WHERE offset = ?", (first + 1,))


class CommitTest(SynchronousTestCase):
    """What the writer does with batches."""

    def setUp(self) -> None:
        self.connection = table()
        self.addCleanup(self.connection.close)
        self.runner = Runner(self.connection, NoFailpoints())

    def batch(self, first: int, *sizes: int) -> Batch:
        batch = Batch(0)
        for offset, size in enumerate(sizes, first):
            batch.add(offset, record(size, offset))
        return batch

    def test_steps_see_the_records_before_them(self) -> None:
        seen: list[list[int]] = []

        def look(connection: sqlite3.Connection) -> None:
            seen.append([offset for offset, _ in ascending(connection, 1)])

        first, second, third = self.batch(1, 10, 10), self.batch(3, 10), self.batch(4, 10)
        second.steps.append(Task(look, isolated=False))
        ((_, error),) = self.runner.run([first, second, third])
        self.assertIsNone(error)
        self.assertEqual(seen, [[1, 2, 3]])
        self.assertEqual([offset for offset, _ in ascending(self.connection, 1)], [1, 2, 3, 4])

    def test_a_gap(self) -> None:
        self.runner.run([self.batch(1, 10, 10), self.batch(7, 10)])
        self.assertEqual([offset for offset, _ in ascending(self.connection, 1)], [1, 2, 7])

    def test_no_offset_is_used_twice(self) -> None:
        self.runner.run([self.batch(1, 10, 10, 10)])
        for again in ([self.batch(2, 10)], [self.batch(4, 10, 10), self.batch(5, 10)]):
            ((_, error),) = Runner(self.connection, NoFailpoints()).run(again)
            self.assertIsInstance(error, sqlite3.IntegrityError)
        self.assertEqual(last_offset(self.connection), 3)
