"""Makes the product's constants small for a run, so that what they bound happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from imserver.backends.embedded import retention
from imserver.protocols import arrival, queueing
from imserver.protocols.kernel import kernel_backlog
from imserver.services import change_cursor, live
from tests.simulation.plan import Plan


def simulated_backlog(transport: Any) -> int | None:
    """What `kernel.kernel_backlog` says of a simulated socket: the bytes that have not arrived."""
    return int(transport.socket.under_way)


@contextmanager
def tuned(plan: Plan) -> Iterator[None]:
    """Sets the constants of a plan, and the old ones afterwards."""
    before = (live.PAGE_ROWS, change_cursor.CHANGES_PER_READ, queueing.WRITABLE_BELOW, retention.SLICE)
    setattr(arrival, "kernel_backlog", simulated_backlog)  # noqa: B010 - not one of its exports
    live.PAGE_ROWS = plan.page_rows
    change_cursor.CHANGES_PER_READ = plan.page_rows
    queueing.WRITABLE_BELOW = plan.writable_below
    retention.SLICE = plan.page_rows
    try:
        yield
    finally:
        setattr(arrival, "kernel_backlog", kernel_backlog)  # noqa: B010
        live.PAGE_ROWS, change_cursor.CHANGES_PER_READ, queueing.WRITABLE_BELOW, retention.SLICE = before
