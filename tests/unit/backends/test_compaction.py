"""Buckets of client ids become compact while messages come and go, and a disk fails."""

from __future__ import annotations

import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import client_ids
from imserver.backends.embedded import compaction as compaction_module
from imserver.backends.embedded.client_ids import COMPACT, compact
from imserver.model.messages import MessageAccepted
from tests.unit.backends.engine import EngineCase
from tests.unit.backends.test_keeping import DAY


class CompactionTest(EngineCase, SynchronousTestCase):
    """Some sends in each of three buckets."""

    def setUp(self) -> None:
        self.patch(compaction_module, "MOST_ROWS", 0)
        # Four parts, and one row or another in each.
        self.patch(client_ids, "PART_SHIFT", 62)
        self.patch(client_ids, "FINE_SHIFT", 60)
        self.open_cellar("alice", "bob", sends_per_second=0.0, slice_pause=0.01, ids_together_from=1)
        self.addCleanup(lambda: self.wait_for(self.embedded.close()))
        self.answers: list[MessageAccepted] = []
        for bucket in range(3):
            self.fill(bucket)

    def fill(self, bucket: int) -> None:
        state = self.embedded.core.state
        state.next_offset = max(state.next_offset, (bucket << 22) + 10)
        for _ in range(20):
            number = len(self.answers)
            self.answers.append(self.send("alice", "one", recipient="bob", client_id=f"c{number}"))
        self.flush()

    def buckets(self) -> tuple[set[int], set[int]]:
        """Those that have rows as they were written, and those that have compact ones."""
        found = {bucket for (bucket,) in self.embedded.core.reader.execute("SELECT bucket FROM client_ids")}
        low = (1 << 31) - 1
        return (
            {bucket & low for bucket in found if not bucket & COMPACT},
            {bucket & low for bucket in found if bucket & COMPACT},
        )

    def assert_known(self) -> None:
        for number, answer in enumerate(self.answers):
            again = self.send("alice", "one", recipient="bob", client_id=f"c{number}")
            self.assertEqual(answer, again)

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.later(1.0)
            for _ in range(5):
                self.later(0.03)

    def test_all_but_the_last_one_become_compact(self) -> None:
        self.assertEqual(({0, 1, 2}, set()), self.buckets())
        self.tick()
        self.assertEqual(({1, 2}, {0}), self.buckets())
        self.assert_known()
        self.tick(3)
        self.assertEqual(({2}, {0, 1}), self.buckets())
        self.assert_known()
        self.reopen()
        self.assert_known()
        self.fill(3)
        self.tick(5)
        self.assertEqual(({3}, {0, 1, 2}), self.buckets())
        self.assert_known()

    def test_a_bucket_waits_until_the_disk_has_all_of_it(self) -> None:
        self.tick(3)
        state = self.embedded.core.state
        for bucket in (3, 4):
            state.next_offset = (bucket << 22) + 10
            self.answers.append(self.send("alice", "one", recipient="bob", client_id=f"c{len(self.answers)}"))
        self.assertEqual([0, 1], [bucket & (1 << 31) - 1 for bucket in state.dedupe.complete()])
        self.tick(3)
        self.assertEqual(({2}, {0, 1}), self.buckets())
        self.flush()
        self.assertEqual(({2, 3, 4}, {0, 1}), self.buckets())
        self.tick(3)
        self.assertEqual(({4}, {0, 1, 2, 3}), self.buckets())
        self.assert_known()

    def test_a_part_at_a_time(self) -> None:
        """Others have the writer in between."""
        self.later(1.0)
        for _ in range(3):
            self.assertEqual(({0, 1, 2}, {0}), self.buckets())
            self.assert_known()
            self.later(0.03)
        self.assertEqual(({1, 2}, {0}), self.buckets())

    def test_it_goes_on_after_a_restart_in_the_middle(self) -> None:
        self.later(1.0)
        self.later(0.03)
        self.assertEqual(({0, 1, 2}, {0}), self.buckets())
        self.restart()
        self.assert_known()
        self.tick(3)
        self.assertEqual(({2}, {0, 1}), self.buckets())
        self.assert_known()

    def test_nothing_is_written_after_the_end(self) -> None:
        self.later(1.0)
        self.wait_for(self.embedded.close())
        self.settle()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.reopen()

    def test_a_commit_that_fails(self) -> None:
        for failing in range(4):
            self.later(1.0)
            for _ in range(failing):
                self.later(0.03)
            self.committer.failures = 1
            self.later(0.03)
            self.later(0.5)
            self.committer.failures = 0
            self.assert_known()
        self.tick(5)
        self.assertEqual(({2}, {0, 1}), self.buckets())
        self.assert_known()

    def test_it_goes_on_where_it_ended(self) -> None:
        parts: list[int] = []

        def noted(bucket: int, part: int, connection: sqlite3.Connection) -> None:
            parts.append(part)
            compact(bucket, part, connection)

        self.patch(compaction_module, "compact", noted)
        self.later(1.0)
        self.later(0.03)
        self.assertEqual([-2, -1], parts)
        self.committer.failures = 1
        self.later(0.03)
        self.assertEqual([-2, -1, 0], parts)
        self.tick(2)
        self.assertEqual([-2, -1, 0, 0, 1], parts[:5])
        self.assertEqual(({2}, {0, 1}), self.buckets())

    def test_others_do_not_wait_for_one_that_cannot_be_read(self) -> None:
        self.embedded.core.database.writer().execute(
            "UPDATE client_ids SET ids = substr(ids, 1, 7) WHERE bucket & ? = 0", ((1 << 31) - 1,)
        )
        self.tick(4)
        self.assertEqual(({0, 2}, {1}), self.buckets())
        self.assertEqual(1, len(self.flushLoggedErrors()))

    def test_nothing_is_begun_after_the_end(self) -> None:
        self.embedded._compactor.stop()
        self.tick(2)
        self.assertEqual(({0, 1, 2}, set()), self.buckets())

    def test_few_rows_stay_as_they_are(self) -> None:
        self.patch(compaction_module, "MOST_ROWS", 8)
        self.tick(4)
        self.assertEqual(({0, 1, 2}, set()), self.buckets())

    def test_they_are_forgotten_with_their_span(self) -> None:
        self.tick(4)
        self.wait_for(self.embedded.trim(self.embedded.core.wall() + 4 * DAY))
        self.assertEqual((set(), set()), self.buckets())
        self.tick(2)
