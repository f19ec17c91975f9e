"""Records of calls over failures, crashes, restarts and time; older files; what `verify` sees of them."""

from __future__ import annotations

import shutil
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.change_log import ChangeRecord
from imserver.backends.embedded.database import FileDatabase, MemoryDatabase, connect
from imserver.backends.embedded.memory import deterministic_cellar
from imserver.backends.embedded.records import encode
from imserver.backends.embedded.schema import MIGRATIONS, migrate
from imserver.backends.embedded.verify import verify, verify_connection
from imserver.model.call_records import CallMissed, CallRecord
from imserver.model.calls import Ending
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageRevoked
from tests.contracts.calls_suite import Recording, ended, missed, offered
from tests.unit.backends.engine import Crash, EngineCase, temporary_directory
from tests.unit.backends.test_database import FileCase

DAY = 86400.0
POINTS = ("before-insert", "after-insert", "before-commit", "after-commit", "before-push", "after-push")


class CallCase(EngineCase, Recording, SynchronousTestCase):
    """People who call each other."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol", retention_seconds=10 * DAY)
        self.store = self.cellar.store

    def now(self) -> float:
        return self.embedded.core.wall()

    def check(self) -> None:
        """The store is sound."""
        self.wait_for(self.embedded.close())
        self.assertEqual([], verify_connection(self.database.reader(), now=self.now()))


class LeftOverTest(CallCase):
    """Calls that an earlier process left running."""

    def test_they_ended_with_the_process(self) -> None:
        ringing, talking = offered("c1", at=self.now()), offered("c2", "carol", at=self.now())
        talking = replace(talking, answered_at=self.now() + 2.0)
        over = ended(offered("c3"), Ending.HANGUP, "bob")
        self.keep(ringing, talking, over)
        self.later(7.0)
        self.later(5.0)
        self.send("carol", "still there", recipient="alice")
        last = self.now()
        self.later(20.0)
        self.reopen()
        self.later(1000.0)
        lost = replace(ringing, ending=Ending.SHUTDOWN, ended_at=last)
        self.assertEqual(lost, self.records("alice")[1])
        self.assertEqual(replace(talking, ending=Ending.SHUTDOWN, ended_at=last), self.records("carol")[0])
        self.assertEqual(over, self.records("bob")[0])
        self.assertEqual([missed(lost)], self.changes("bob"))
        self.check()

    def test_the_callee_is_told_once_however_often_it_is_opened(self) -> None:
        self.keep(offered(at=self.now()))
        told = 0
        for _ in range(3):
            self.reopen()
            self.settle()
            told += len(self.sink.changes)
            self.assertEqual(1, len(self.changes("bob")))
        self.assertEqual(1, told)

    def test_while_they_last_there_are_signs_of_life(self) -> None:
        self.keep(replace(offered(at=self.now()), answered_at=self.now()))
        for _ in range(200):
            self.later(1.0)
        last = self.now()
        self.later(0.5)
        self.reopen()
        self.later(3600.0)
        (record,) = self.records("bob")
        self.assertLess(last - record.ended_at, 62.0)
        self.assertLessEqual(record.ended_at, last)

    def test_without_calls_nothing_is_written(self) -> None:
        self.keep(ended(offered(at=self.now())))
        self.later(100.0)
        before = len(self.failpoints.passed)
        for _ in range(200):
            self.later(1.0)
        self.assertEqual(before, len(self.failpoints.passed))

    def test_nothing_is_known_but_the_call_itself(self) -> None:
        ringing = offered(at=self.now() + 100.0)
        talking = replace(offered("c2", at=self.now() + 100.0), answered_at=self.now() + 130.0)
        self.keep(ringing, talking)
        self.reopen()
        self.settle()
        ends = [(record.ended_at, record.ending) for record in self.records("bob")]
        self.assertEqual(
            [(talking.answered_at, Ending.SHUTDOWN), (ringing.created_at, Ending.SHUTDOWN)], ends
        )

    def test_a_clock_that_went_ahead_is_not_believed_later(self) -> None:
        self.keep(offered(at=self.now()))
        self.later(5000.0)
        self.send("alice", recipient="bob")
        self.later(0.0)
        self.committer.crash()
        set_right = self.now() - 4000.0
        self.cellar = self.embedded = deterministic_cellar(
            self.clock, database=self.database, wall=lambda: set_right
        )
        self.embedded.open()
        self.settle()
        (record,) = self.records("bob")
        self.assertEqual(set_right, record.ended_at)

    def test_a_new_call_is_none_of_theirs(self) -> None:
        self.keep(offered("old", at=self.now()))
        self.reopen()
        new = offered("new", "carol", at=self.now())
        self.keep(new)
        self.assertEqual(new, self.records("carol")[0])
        self.later(5.0)
        self.assertEqual(new, self.records("carol")[0])

    def test_a_disk_that_fails_is_tried_again(self) -> None:
        self.keep(offered(at=self.now()))
        self.reopen()
        self.settings.failure_pause = 2.5
        self.committer.failures = 2
        self.settle()
        self.assertIsNone(self.records("bob")[0].ending)
        new = offered("new", "carol", at=self.now())
        self.committer.failures = 0
        self.later(3.0)
        self.keep(new)
        self.assertEqual([new.ending, Ending.SHUTDOWN], [record.ending for record in self.records("bob")])
        self.assertEqual(1, len(self.changes("bob")))

    def test_a_disk_that_fails_while_it_is_opened(self) -> None:
        self.keep(offered(at=self.now()))
        self.reopen()
        self.committer.failures = 1
        self.settle()
        new = offered("new", "carol", at=self.now())
        self.keep(new)
        self.assertEqual([None, None], [record.ending for record in self.records("bob")])
        self.later(1.0)
        self.later(1.0)
        self.assertEqual([None, Ending.SHUTDOWN], [record.ending for record in self.records("bob")])
        self.assertEqual(1, len(self.sink.changes))
        self.check()


class FailureTest(CallCase):
    """Failed commits and crashes."""

    def test_a_failed_commit_refuses_the_record_and_tells_nothing(self) -> None:
        over = ended(offered())
        self.keep(offered())
        self.committer.failures = 1
        waiting = ensureDeferred(self.store.record_call(over))
        ticket = self.submit("alice", recipient="bob")
        self.settle()
        error = self.failureResultOf(waiting, ImError).value
        self.assertEqual((ErrorCode.UNAVAILABLE,) * 2, (error.code, self.code(ticket)))
        self.assertEqual([offered()], self.records("bob"))
        self.assertEqual(([], []), (self.sink.changes, self.changes("bob")))
        self.keep(over)
        self.assertEqual([missed(over)], [change.event for change in self.sink.changes])
        self.check()

    def test_it_joins_the_commit_of_the_messages(self) -> None:
        self.failpoints.passed.clear()
        tickets = [self.submit("alice", recipient="bob")]
        waiting = ensureDeferred(self.store.record_call(ended(offered())))
        tickets.append(self.submit("alice", recipient="bob"))
        self.settle()
        self.successResultOf(waiting)
        self.assertEqual([None, None], [self.code(ticket) for ticket in tickets])
        self.assertEqual(1, self.failpoints.passed.count("after-commit"))

    def test_a_call_without_accounts_hurts_nobody_else(self) -> None:
        unknown = ensureDeferred(self.store.record_call(offered(callee="nobody")))
        known = ensureDeferred(self.store.record_call(offered()))
        ticket = self.submit("alice", recipient="bob")
        self.settle()
        self.failureResultOf(unknown, ImError)
        self.successResultOf(known)
        self.assertIsNone(self.code(ticket))

    def test_a_crash_at_every_point(self) -> None:
        """The end and the missed call are there together or not at all; then the opening adds them."""
        for point in POINTS:
            self.open_cellar("alice", "bob")
            self.keep(offered(at=self.now()))
            over = ended(offered(at=self.now()), seconds=0.5)
            self.failpoints.arm(point)
            waiting = ensureDeferred(self.cellar.store.record_call(over))
            self.assertRaises(Crash, self.settle)
            told = len(self.sink.changes)
            # What was never committed was never told.
            self.assertLessEqual(told, 1 if point == "after-push" else 0, point)
            self.assertNoResult(waiting)
            self.reopen()
            self.settle()
            (record,) = self.records("bob")
            kept = point in ("after-commit", "before-push", "after-push")
            self.assertEqual(Ending.NO_ANSWER if kept else Ending.SHUTDOWN, record.ending, point)
            self.assertEqual([missed(record)], self.changes("bob"), point)
            self.keep(over)
            self.assertEqual([missed(record)], self.changes("bob"), point)
            self.check()


class TimeTest(CallCase):
    """Retention, and what devices are told of what is forgotten."""

    def trim(self) -> None:
        self.wait_for(self.embedded.trim(self.now()))

    def test_records_are_kept_as_long_as_messages(self) -> None:
        calls = []
        for number in range(5):
            over = ended(offered(f"c{number}", at=self.now()))
            self.keep(over)
            calls.append(over)
            self.later(3 * DAY)
        self.trim()
        self.assertEqual(calls[:1:-1], self.records("alice"))
        self.later(10 * DAY)
        self.trim()
        self.assertEqual([], self.records("alice"))
        # They are forgotten, their numbers are not.
        page = self.page("alice")
        self.assertEqual("", page.next_cursor)
        self.keep(offered("a", at=self.now()), offered("b", at=self.now()))
        (_, old), (_, new) = [
            (record, self.page("alice", limit=1).next_cursor) for record in self.records("alice")
        ]
        self.assertGreater(int(new), 5)
        self.assertEqual(old, new)
        self.check()

    def test_forever_is_forever(self) -> None:
        self.settings.retention_seconds = 0.0
        self.keep(ended(offered(at=self.now())))
        self.later(1000 * DAY)
        self.trim()
        self.assertEqual(1, len(self.records("alice")))

    def test_what_lasts_is_kept(self) -> None:
        self.keep(offered("lasts", at=self.now()))
        self.keep(ended(offered("over", "carol", at=self.now())))
        self.later(11 * DAY)
        self.trim()
        self.assertEqual(["lasts"], [record.call for record in self.records("alice")])

    def test_missed_calls_are_told_for_as_long_as_changes_are_kept(self) -> None:
        self.settings.retention_seconds = 0.0
        self.keep(ended(offered("old", at=self.now())))
        before = self.changed("bob", "d")
        self.later(29 * DAY)
        self.keep(ended(offered("new", at=self.now())))
        self.trim()
        self.assertEqual(["old", "new"], [event.call for event in self.changes("bob", before)])
        self.later(2 * DAY)
        self.trim()
        for after in (before, self.changed("bob", "another", "jsonline")):
            self.assertEqual(["new"], [event.call for event in self.changes("bob", after)])
        self.later(30 * DAY)
        self.trim()
        self.assertEqual(self.sink.changes[-1].change_id, self.changed("bob", "third", "protobuf"))
        self.check()

    def test_a_missed_call_may_outlive_its_record(self) -> None:
        before = self.changed("bob", "d")
        over = ended(offered(at=self.now()))
        self.keep(over)
        self.later(11 * DAY)
        self.trim()
        self.assertEqual([], self.records("bob"))
        self.assertEqual([missed(over)], self.changes("bob", before))
        self.check()


class FileTest(FileCase):
    """Over real files: older ones, copies."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob")
        self.addCleanup(self.close)

    def close(self) -> None:
        self.wait_for(self.embedded.close())
        self.assertEqual([], verify(self.directory, now=self.embedded.core.wall()))
        self.database.close()

    def test_a_copy_in_the_middle_of_a_call(self) -> None:
        target = temporary_directory(self) / "copy.db"
        record = offered(at=self.embedded.core.wall())
        self.wait_for(self.cellar.store.record_call(record))
        self.wait_for(self.embedded.backup(target))
        self.assertEqual([], verify(target, now=self.embedded.core.wall()))
        self.wait_for(self.cellar.store.record_call(ended(record, Ending.REJECTED, "bob")))
        self.wait_for(self.embedded.close())
        for path in self.directory.glob("imserver.db*"):
            path.unlink()
        shutil.copy(target, self.directory / "imserver.db")
        self.reopen()
        self.settle()
        page = self.wait_for(self.cellar.store.calls("alice", "", 9))
        self.assertEqual([Ending.SHUTDOWN], [one.ending for one in page.calls])
        ((_, event),) = self.wait_for(self.cellar.store.changes("bob", 0, 9))
        self.assertIsInstance(event, CallMissed)

    def test_a_file_from_before_there_were_calls(self) -> None:
        """Its revokes are still told, and calls can be recorded in it."""
        self.wait_for(self.embedded.close())
        self.database.close()
        for path in self.directory.glob("imserver.db*"):
            path.unlink()
        connection = connect(self.directory / "imserver.db")
        migrate(connection, MIGRATIONS[:1])
        for no, name in ((1, "alice"), (2, "bob")):
            connection.execute("INSERT INTO users VALUES (?, ?, '', 'user', 0, 0, 0, 0)", (no, name))
        body = encode(ChangeRecord(False, ("m1",), "", "single_alice_bob", "alice", 5.0, []))
        connection.execute("INSERT INTO changes (at, everyone, body) VALUES (5.0, 0, ?)", (body,))
        connection.execute("INSERT INTO change_index VALUES (2, 1)")
        connection.execute("INSERT INTO meta VALUES ('epoch', 'e')")
        connection.close()
        self.assertEqual([], verify(self.directory, now=self.embedded.core.wall()))
        self.database = FileDatabase(self.directory)
        self.cellar = self.start()
        over = ended(offered(at=self.embedded.core.wall()))
        self.wait_for(self.cellar.store.record_call(over))
        revoked = MessageRevoked("m1", "single_alice_bob", "single_alice_bob", "alice", 5.0)
        changes = self.wait_for(self.cellar.store.changes("bob", 0, 9))
        self.assertEqual([(1, revoked), (2, missed(over))], changes)
        self.assertEqual([over], self.wait_for(self.cellar.store.calls("bob", "", 9)).calls)


class VerifyTest(CallCase):
    """Each planted fault is found, and nothing else is."""

    def test_planted_faults(self) -> None:
        self.keep(offered("lasts"), ended(offered("missed")))
        self.keep(ended(offered("over", "carol"), Ending.REJECTED, "bob"))
        self.wait_for(self.cellar.store.record_call(ended(offered("other", "bob", "carol"))))
        database = self.embedded.core.database
        assert isinstance(database, MemoryDatabase)
        connection = database.connection
        self.assertEqual([], verify_connection(connection, now=self.now()))
        for sql, text in (
            ("UPDATE calls SET callee = 77 WHERE id = 'lasts'", "user without an account: 1 lasts"),
            ("UPDATE calls SET ended_by = 1 WHERE id = 'over'", "ended by somebody else: 3 over"),
            ("UPDATE calls SET ending = 'boredom' WHERE id = 'over'", "an end that is none: 3 over"),
            ("UPDATE calls SET answered_at = 1 WHERE id = 'missed'", "told as a missed one: 2 missed"),
            ("UPDATE calls SET missed = 1 WHERE id = 'lasts'", "told as a missed one: 1 lasts"),
            ("UPDATE changes SET kind = 0 WHERE id = 1", "change is another one: 2 1"),
            ("UPDATE calls SET missed = 9 WHERE id = 'missed'", "change was never written: 2 9"),
            ("UPDATE change_index SET user_no = 1 WHERE user_no = 2", "in its callee's list of changes: 2 1"),
        ):
            connection.execute("SAVEPOINT damage")
            connection.execute(sql)
            faults = verify_connection(connection, now=self.now())
            self.assertTrue(any(text in fault for fault in faults), (text, faults))
            connection.execute("ROLLBACK TO damage")
            connection.execute("RELEASE damage")


users = st.sampled_from(("alice", "bob", "carol"))
steps = st.one_of(
    st.tuples(st.just("offer"), users, users, st.sampled_from(("c1", "c2"))),
    st.tuples(st.just("answer"), st.integers(0, 30)),
    st.tuples(st.just("end"), st.integers(0, 30), st.sampled_from(list(Ending))),
    st.tuples(st.just("again"), st.integers(0, 30)),
    st.tuples(st.just("message"), users, users),
    st.tuples(st.just("crash")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("crash-at"), st.sampled_from(POINTS)),
)


class ModelTest(CallCase):
    """Random histories of calls against a list."""

    @given(st.lists(steps, max_size=25))
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def test_histories(self, history: list[tuple[Any, ...]]) -> None:
        self.open_cellar("alice", "bob", "carol", sends_per_second=0.0)
        self.known: list[CallRecord] = []
        self.attempt: CallRecord | None = None
        for step in history:
            try:
                getattr(self, "do_" + step[0].replace("-", "_"))(*step[1:])
            except Crash:
                self.restarted()
        self.do_crash()
        self.compare()
        self.check()

    def compare(self) -> None:
        for user in ("alice", "bob", "carol"):
            own = [one for one in self.known if user in (one.caller, one.callee)]
            self.assertEqual(own[::-1], self.records(user))
            told = [missed(one) for one in self.known if one.missed and one.callee == user]
            self.assertEqual(in_order(told), in_order(self.changes(user)))

    def put(self, index: int, record: CallRecord) -> None:
        """Records it, a second time if the disk fails."""
        self.attempt = record
        try:
            self.keep(record)
        except ImError:
            self.keep(record)
        self.known[index : index + 1] = [record]
        self.attempt = None

    def restarted(self) -> None:
        """A new process: what lasted was ended, what was on the way may have come about or not."""
        self.reopen()
        self.settle()
        attempt, self.attempt = self.attempt, None
        found = {_key(one): one for user in ("alice", "bob", "carol") for one in self.records(user)}
        if attempt is not None and _key(attempt) in found.keys() - {_key(one) for one in self.known}:
            self.known.append(attempt)
        for index, record in enumerate(self.known):
            there = found[_key(record)]
            if record.ending is not None and there != attempt:
                self.assertEqual(record, there)
            elif there != attempt:
                self.assertEqual(Ending.SHUTDOWN, there.ending)
                self.assertIn(there.answered_at, (record.answered_at, attempt and attempt.answered_at))
            self.assertIsNotNone(there.ending)
            self.known[index] = there
        if attempt is not None and attempt.ending is not None and _key(attempt) in found:
            self.keep(attempt)
        self.compare()

    def do_offer(self, caller: str, callee: str, call: str) -> None:
        if caller != callee:
            self.later(1.0)
            self.put(len(self.known), offered(call, caller, callee, self.now()))

    def do_answer(self, which: int) -> None:
        if self.known:
            record = self.known[which % len(self.known)]
            if record.ending is None:
                self.put(which % len(self.known), replace(record, answered_at=self.now()))

    def do_end(self, which: int, ending: Ending) -> None:
        if self.known:
            record = self.known[which % len(self.known)]
            if record.ending is None:
                over = replace(record, ending=ending, ended_at=self.now(), by=record.callee)
                self.put(which % len(self.known), over)

    def do_again(self, which: int) -> None:
        if self.known:
            record = self.known[which % len(self.known)]
            if record.ending is not None:
                self.put(which % len(self.known), record)

    def do_message(self, sender: str, recipient: str) -> None:
        self.submit(sender, recipient=recipient)

    def do_fail(self) -> None:
        self.settle()
        self.committer.failures = 1

    def do_crash_at(self, point: str) -> None:
        self.failpoints.arm(point)

    def do_crash(self) -> None:
        self.failpoints.arm("")
        self.settle()
        self.restarted()


def _key(record: CallRecord) -> tuple[str, str, float]:
    return record.call, record.caller, record.created_at


def in_order(events: list[Any]) -> list[Any]:
    """Missed calls by their time."""
    return sorted(events, key=lambda event: (event.created_at, event.call))
