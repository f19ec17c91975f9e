"""Failed commits, full disks, and crashes at every point."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.verify import verify_connection
from imserver.model.accounts import Account, Role
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted, RevokeMessage
from tests.contracts.cellar_case import InOrder
from tests.unit.backends.engine import Crash, EngineCase
from tests.unit.backends.test_database import FileCase


class FailedCommitTest(EngineCase, SynchronousTestCase):
    def setUp(self) -> None:
        self.open_cellar("alice", "bob", "carol")
        self.add_group("team", "alice", "bob")

    def tearDown(self) -> None:
        self.wait_for(self.embedded.close())
        self.assertEqual([], verify_connection(self.database.reader(), now=self.embedded.core.wall()))

    def test_everything_that_waited_is_refused_and_nothing_happened(self) -> None:
        self.send("alice", "before", recipient="bob")
        self.committer.failures = 1
        tickets = [
            self.submit("alice", f"{n}", recipient="bob", conversation="name", client_id=f"c{n}")
            for n in range(3)
        ]
        nobody = self.submit("alice", recipient="nobody")
        self.settle()
        self.assertEqual([ErrorCode.UNAVAILABLE] * 3, [self.code(ticket) for ticket in tickets])
        self.assertEqual(ErrorCode.USER_NOT_FOUND, self.code(nobody))
        self.assertEqual([*tickets, nobody], [answer.ticket for answer in self.sink.answers[1:]])
        self.assertEqual([(1, "before")], self.texts("bob"))
        self.assertEqual(ErrorCode.CONVERSATION_NOT_FOUND, self.refused("alice", conversation="name"))
        again = [self.send("alice", f"{n}", recipient="bob", client_id=f"c{n}") for n in range(3)]
        self.assertEqual([2, 3, 4], [answer.seq for answer in again])
        self.assertEqual([(1, "before"), (2, "0"), (3, "1"), (4, "2")], self.texts("bob"))

    def test_what_was_decided_after_the_failed_commit_is_refused_too(self) -> None:
        self.committer.held = True
        self.committer.failures = 1
        first = self.submit("alice", "1", recipient="bob")
        self.settle()
        second = self.submit("alice", "2", recipient="bob", client_id="c")
        self.settle()
        third = self.submit("bob", "3", recipient="alice")
        self.committer.run()
        self.committer.run()
        self.committer.held = False
        self.settle()
        codes = [self.code(ticket) for ticket in (first, second, third)]
        self.assertEqual([ErrorCode.UNAVAILABLE] * 3, codes)
        self.assertEqual([first, second, third], [answer.ticket for answer in self.sink.answers])
        self.assertEqual(1, self.send("alice", "2", recipient="bob", client_id="c").seq)

    def test_memberships_and_accounts_fail_alike(self) -> None:
        directory = self.cellar.directory
        changes = directory.account_changes
        self.committer.failures = 1
        calls: list[Any] = [
            directory.add_member("team", "carol", 1.0),
            directory.remove_member("team", "bob", 1.0),
            directory.create_group("new", "", "alice", True, "", [], 1.0),
            directory.create_account(Account("dave", "")),
            self.cellar.store.cursor("bob", "f", "d"),
        ]
        waiting = [ensureDeferred(call) for call in calls]
        self.settle()
        for deferred in waiting:
            error = self.failureResultOf(deferred, ImError).value
            self.assertEqual(ErrorCode.UNAVAILABLE, error.code)
        # What failed may have come about all the same.
        self.assertNotEqual(changes, directory.account_changes)
        self.assertEqual(["alice", "bob"], [member.user for member in self.members("team")])
        self.assertIsNone(self.wait_for(directory.group("new")))
        self.assertIsNone(self.wait_for(directory.account("dave")))
        self.assertTrue(self.wait_for(directory.add_member("team", "carol", 1.0)))
        self.add_users("dave")

    def test_a_failing_task_fails_alone(self) -> None:
        taken = ensureDeferred(self.cellar.directory.create_account(Account("alice", "")))
        fresh = ensureDeferred(self.cellar.directory.create_account(Account("dave", "")))
        ticket = self.submit("alice", recipient="bob")
        self.settle()
        self.assertEqual(ErrorCode.USER_EXISTS, self.failureResultOf(taken, ImError).value.code)
        self.assertIsNone(self.successResultOf(fresh))
        self.assertIsNone(self.code(ticket))

    def test_a_failed_flush_loses_nothing(self) -> None:
        for number in range(5):
            self.send("alice", f"{number}", recipient="bob", client_id=f"{number}")
        self.committer.failures = 1
        self.flush()
        self.assertEqual(5, len(self.texts("bob")))
        self.flush()
        self.assertEqual(0, self.embedded.core.state.tail_rows)
        self.assertEqual(5, len(self.texts("bob")))
        self.assertEqual(1, self.send("alice", "0", recipient="bob", client_id="0").seq)

    def test_acknowledgements_survive_a_failed_commit(self) -> None:
        store = self.cellar.store
        self.send("alice", recipient="bob")
        self.wait_for(store.cursor("bob", "f", "d"))
        store.acknowledge("bob", "f", "d", 1)
        self.committer.failures = 1
        self.later(1.0)
        self.later(1.0)
        self.reopen()
        self.assertEqual(1, self.wait_for(self.cellar.store.cursor("bob", "f", "d")).acked)

    def test_a_pause_spares_a_full_disk(self) -> None:
        self.settings.failure_pause = 5.0
        self.committer.failures = 1
        self.assertEqual(ErrorCode.UNAVAILABLE, self.refused("alice", recipient="bob"))
        self.later(4.0)
        self.assertEqual(ErrorCode.UNAVAILABLE, self.refused("alice", recipient="bob"))
        self.later(1.5)
        self.send("alice", recipient="bob")

    def test_too_much_waiting_is_refused(self) -> None:
        self.settings.queue_rows = 3
        tickets = [self.submit("alice", recipient="bob") for _ in range(5)]
        self.settle()
        codes = [self.code(ticket) for ticket in tickets]
        self.assertEqual([None] * 3 + [ErrorCode.UNAVAILABLE] * 2, codes)
        self.send("alice", recipient="bob")

    def test_a_consumer_that_fails_does_not_stop_the_engine(self) -> None:
        def broken(entries: Any) -> None:
            raise ValueError("a bug in the consumer")

        self.sink.committed = broken  # type: ignore[method-assign]
        self.send("alice", recipient="bob")
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assertEqual([(1, "hello")], self.texts("bob"))


class CrashTest(EngineCase, SynchronousTestCase):
    """The process ends at each point; what was told is there, what was not may be."""

    def crash_at(self, point: str, **settings: Any) -> tuple[list[int], list[int]]:
        """Sends until it crashes; returns the tickets answered and those that were not."""
        self.open_cellar("alice", "bob", "carol", sends_per_second=0.0, **settings)
        self.add_group("team", "alice", "bob", "carol")
        self.failpoints.arm(point, 7)
        tickets: list[int] = []
        self.assertRaises(Crash, self._send_on, tickets)
        answered = [answer.ticket for answer in self.sink.answers]
        for answer in self.sink.answers:
            self.assertIsInstance(answer.outcome, MessageAccepted)
        pushed = {text for entry in self.sink.entries for text in [entry.message.content.data.decode()]}
        answers = {answer.ticket: answer.outcome for answer in self.sink.answers}
        self.reopen()
        there = [text for _, text in self.texts("bob")]
        self.assertEqual(sorted(there, key=int), there)
        self.assertEqual(len(set(there)), len(there))
        self.assertLessEqual({str(ticket) for ticket in answered} | pushed, set(there))
        # Retries of all of them give each once, and the first answer to those that had one.
        for ticket in tickets:
            again = self.send("alice", f"{ticket}", group="team", client_id=f"{ticket}")
            if ticket in answers:
                self.assertEqual(answers[ticket], again)
        self.assertEqual([(n, f"{ticket}") for n, ticket in enumerate(tickets, 1)], self.texts("bob"))
        self.assertEqual(self.texts("bob"), self.texts("carol"))
        self.wait_for(self.embedded.close())
        self.assertEqual([], verify_connection(self.database.reader(), now=self.embedded.core.wall()))
        return answered, [ticket for ticket in tickets if str(ticket) in there and ticket not in answered]

    def _send_on(self, tickets: list[int]) -> None:
        for _ in range(200):
            tickets.append(self._tickets + 1)
            ticket = self._tickets + 1
            self.submit("alice", f"{ticket}", group="team", client_id=f"{ticket}")
            if ticket % 3 == 0:
                self.settle()

    def test_before_the_commit_it_is_lost(self) -> None:
        for point in ("before-insert", "after-insert", "before-commit"):
            answered, silently_kept = self.crash_at(point)
            self.assertTrue(answered, point)
            self.assertEqual([], silently_kept, point)

    def test_after_the_commit_it_is_kept(self) -> None:
        for point in ("after-commit", "before-ack"):
            answered, silently_kept = self.crash_at(point)
            self.assertTrue(answered, point)
            self.assertEqual(3, len(silently_kept), point)

    def test_around_the_push(self) -> None:
        for point in ("after-ack", "before-push", "after-push"):
            self.assertTrue(self.crash_at(point)[0], point)

    def test_around_the_index_writes(self) -> None:
        for point in ("before-index", "after-index"):
            self.crash_at(point, flush_rows=4, slice_entries=1)

    def test_a_broadcast_goes_on_after_a_crash(self) -> None:
        users = [f"u{number:02}" for number in range(20)]
        for point, count in (("after-commit", 3), ("before-commit", 3), ("before-push", 2)):
            self.open_cellar(*users, fanout_users=3)
            self.failpoints.arm(point, count)
            self.submit("u05", "all", broadcast=True, role=Role.ADMIN, client_id="c")
            self.assertRaises(Crash, self.settle)
            self.reopen()
            again = self.send("u05", "all", broadcast=True, role=Role.ADMIN, client_id="c")
            self.settle()
            self.assertEqual(1, again.seq)
            for user in users:
                self.assertEqual([(1, "all")], self.texts(user), (point, user))
            self.wait_for(self.embedded.close())
            self.assertEqual([], verify_connection(self.database.reader(), now=self.embedded.core.wall()))


class RevokedBroadcastTest(EngineCase, SynchronousTestCase):
    """A broadcast that is taken back while it is being fanned out."""

    def test_its_content_does_not_come_after_the_news_of_the_revoke(self) -> None:
        self.open_cellar("alice", "bob", "carol", "dave", fanout_users=2)
        sink = InOrder()
        self.cellar.store.attach(sink)
        ticket = self.submit("alice", "all", broadcast=True, role=Role.ADMIN)
        self.committer.held = True
        self.clock.advance(0)
        self.committer.run()
        accepted = sink.outcome(ticket)
        assert isinstance(accepted, MessageAccepted)
        # The first user's row is decided, then the revoke is committed, then that row is handed over.
        self.clock.callLater(0, self.committer.run)
        revoking = ensureDeferred(
            self.cellar.store.revoke(self.principal("alice"), RevokeMessage(accepted.message_id), 120.0)
        )
        self.embedded.core.journal.hand_over()
        self.clock.advance(0)
        self.committer.held = False
        self.committer.run()
        self.settle()
        self.successResultOf(revoking)
        self.assertEqual(
            ["content to alice", "news of the revoke", "revoked to bob", "revoked to carol dave"], sink.told
        )
        self.assertEqual([(1, "")], self.texts("bob"))


class FullDiskTest(FileCase):
    """A real file that may not grow."""

    def test_it_recovers_when_there_is_space_again(self) -> None:
        self.open_cellar("alice", "bob", sends_per_second=0.0)
        writer = self.embedded.core.database._connections[1]  # type: ignore[attr-defined]
        (pages,) = writer.execute("PRAGMA page_count").fetchone()
        writer.execute(f"PRAGMA max_page_count = {pages + 4}")
        outcomes = []
        for number in range(40):
            ticket = self.submit("alice", "x" * 2000, recipient="bob", client_id=f"{number}")
            outcomes.append(self.outcome(ticket))
        accepted = [outcome for outcome in outcomes if isinstance(outcome, MessageAccepted)]
        refused = {outcome.code for outcome in outcomes if isinstance(outcome, ImError)}
        self.assertEqual({ErrorCode.UNAVAILABLE}, refused)
        self.assertEqual(list(range(1, len(accepted) + 1)), [answer.seq for answer in accepted])
        self.assertEqual(len(accepted), len(self.texts("bob")))
        writer.execute("PRAGMA max_page_count = 1073741823")
        for number in range(40):
            self.send("alice", "x" * 2000, recipient="bob", client_id=f"{number}")
        self.assertEqual(40, len(self.texts("bob")))
        self.wait_for(self.embedded.close())

    def test_a_disk_that_cannot_be_read_either(self) -> None:
        self.open_cellar("alice", "bob")
        self.send("alice", "before", recipient="bob")
        core = self.embedded.core
        core.reader.close()
        self.committer.failures = 1
        self.assertEqual(ErrorCode.UNAVAILABLE, self.refused("alice", recipient="bob"))
        self.assertEqual(ErrorCode.UNAVAILABLE, self.refused("alice", recipient="bob"))
        self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(self.cellar.store.head("bob")))
        core._reader = core.database.reader()
        self.later(1.0)
        self.assertEqual(2, self.send("alice", recipient="bob").seq)
        self.wait_for(self.embedded.close())
