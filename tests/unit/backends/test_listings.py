"""The engine's list of conversations, from memory and from the disk; what is counted of its commits."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded import EmbeddedCellar
from imserver.backends.embedded.memory import ScheduledCommitter, deterministic_cellar
from imserver.backends.embedded.metering import MeteredCommitter
from imserver.model.accounts import Account, Principal
from imserver.model.messages import Content, Form, SendMessage
from imserver.services.histogram import Histogram
from tests.contracts.listing_suite import ListingSuite
from tests.unit.backends.engine import EngineCase


class ListingTest(EngineCase, ListingSuite, SynchronousTestCase):
    pass


class RestlessListingTest(EngineCase, ListingSuite, SynchronousTestCase):
    """With every index on the disk at once."""

    def make_cellar(self, **settings: Any) -> EmbeddedCellar:
        return super().make_cellar(flush_rows=1, slice_entries=1, cached_users=1, **settings)


class Metering(SynchronousTestCase):
    """`MeteredCommitter`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.scheduled = ScheduledCommitter(self.clock, lambda: 0.03)
        self.meter = MeteredCommitter(self.scheduled, self.clock.seconds)
        self.cellar = deterministic_cellar(self.clock, committer=self.meter)  # type: ignore[arg-type]
        self.cellar.open()
        self.advance()
        created = self.cellar.directory.create_account(Account("alice", ""))
        ensureDeferred(created)
        self.advance()

    def advance(self) -> None:
        for _ in range(8):
            self.clock.advance(0.01)

    def send(self) -> None:
        command = SendMessage(Content(Form.TEXT, b"x"), recipient="alice")
        self.cellar.store.append(Principal("alice", "s", "test"), command, None)

    def test_counts_rows_and_seconds(self) -> None:
        before = sum(self.meter.rows.counts)
        for _ in range(3):
            self.send()
        self.advance()
        self.assertEqual(before + 1, sum(self.meter.rows.counts))
        self.assertEqual(1, self.meter.rows.counts[3])  # 3 rows: the bucket up to 5
        self.assertEqual(sum(self.meter.rows.counts), sum(self.meter.seconds.counts))
        # The clock goes in steps of 10 ms, so a commit of 30 ms is seen after 30 or 40.
        commits = sum(self.meter.seconds.counts)
        self.assertTrue(
            0.029 * commits < self.meter.seconds.total < 0.041 * commits, self.meter.seconds.total
        )

    def test_counts_failures(self) -> None:
        self.scheduled.failures = 1
        before = sum(self.meter.rows.counts)
        self.send()
        self.advance()
        self.assertEqual(1, self.meter.failures)
        self.assertEqual(before, sum(self.meter.rows.counts))

    def test_buckets_include_their_bounds(self) -> None:
        histogram = Histogram((1, 2))
        for value in (0.5, 1, 1.5, 2, 3):
            histogram.observe(value)
        self.assertEqual([2, 2, 1], histogram.counts)
        self.assertEqual(8.0, histogram.total)
