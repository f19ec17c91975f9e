"""Random operations, flushes, crashes, failed commits and retention against the naive model."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.embedded.verify import verify_connection
from tests.contracts.model_suite import ModelSuite, operations
from tests.unit.backends.engine import Crash, EngineCase

DURABLE_POINTS = ("after-commit", "before-ack", "after-ack", "before-push", "after-push")
LOST_POINTS = ("before-insert", "after-insert", "before-commit")
INDEX_POINTS = ("before-index", "after-index")

engine_operations = st.one_of(
    *operations,
    st.tuples(st.just("flush")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("fail")),
    st.tuples(st.just("crash-at"), st.sampled_from(DURABLE_POINTS + LOST_POINTS)),
    st.tuples(st.just("crash-index"), st.sampled_from(INDEX_POINTS), st.integers(1, 4)),
)


class ModelTest(EngineCase, ModelSuite, SynchronousTestCase):
    """The embedded engine, and what may happen to its process and its disk."""

    def run_operations(self, steps: list[tuple[Any, ...]], **engine: Any) -> None:
        super().run_operations(steps, **engine)
        self.do_crash()
        self.check()
        self.wait_for(self.embedded.close())
        now = 1_700_000_000.0 + self.clock.seconds()
        self.assertEqual([], verify_connection(self.database.reader(), now=now))

    def age(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()
        self.wait_for(self.embedded.trim(1_700_000_000.0 + self.clock.seconds()))

    def do_flush(self) -> None:
        self.do_settle()
        self.flush()

    def do_crash(self) -> None:
        """Nothing that waits was handed over yet, so all of it is lost."""
        self.compare_answers()
        self.pending = []
        self.reopen()
        self.check()

    def do_fail(self) -> None:
        """The next commit fails; all that waits is refused, nothing of it happened."""
        self.committer.failures = 1
        self.settle()
        failed = self.committer.failures == 0
        self.committer.failures = 0
        if not failed:  # retries and refusals alone write nothing
            self.happened()
            return
        self.did_not_happen()
        self.check()

    def do_crash_at(self, point: str) -> None:
        self.failpoints.arm(point)
        try:
            self.settle()
        except Crash:
            if point in DURABLE_POINTS:
                self.durable += self.pending
        else:
            self.happened()
        self.pending = []
        self.reopen()
        self.check()

    def do_crash_index(self, point: str, count: int) -> None:
        self.do_settle()
        self.failpoints.arm(point, count)
        try:
            self.flush()
        except Crash:
            pass
        self.reopen()
        self.check()

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(engine_operations, max_size=25))
    def test_as_usual(self, steps: list[tuple[Any, ...]]) -> None:
        self.run_operations(steps)

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(engine_operations, max_size=25))
    def test_with_every_index_written_at_once(self, steps: list[tuple[Any, ...]]) -> None:
        self.run_operations(steps, flush_rows=2, slice_entries=1, cached_users=1)
