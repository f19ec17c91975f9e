"""Makes the product's constants small for a run, so that what they bound happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imserver.backends.embedded import retention
from imserver.protocols import outbox
from imserver.services import delivery
from tests.simulation.plan import Plan


@contextmanager
def tuned(plan: Plan) -> Iterator[None]:
    """Sets the constants of a plan, and the old ones afterwards."""
    before = (delivery.PAGE_ROWS, delivery.CHANGES_PER_READ, outbox.WRITABLE_BELOW, retention.SLICE)
    delivery.PAGE_ROWS = plan.page_rows
    delivery.CHANGES_PER_READ = plan.page_rows
    outbox.WRITABLE_BELOW = plan.writable_below
    retention.SLICE = plan.page_rows
    try:
        yield
    finally:
        delivery.PAGE_ROWS, delivery.CHANGES_PER_READ, outbox.WRITABLE_BELOW, retention.SLICE = before
