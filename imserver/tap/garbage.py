"""Python's collector of reference cycles, set for a server: little garbage in cycles, much that stays."""

from __future__ import annotations

import gc
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

THRESHOLDS: Final = (25_000, 1_000, 10)
"""New objects before the youngest are looked through; how often until older ones are; and the oldest.

Neither messages nor lost connections leave cycles. Python's own 700 has everything that
waits for its commit looked through again and again, for nothing. In the second place the clock decides
instead, since thousands of sessions that come at once would be looked through while everybody waits.
"""
PERIOD: Final = 60.0
"""Seconds after which what has stayed since is looked through, once. The oldest follow by Python's own
rule: after the tenth time, if a quarter of them is new."""


def settle() -> None:
    """Exempts what start-up made from ever being looked through, and sets the thresholds.

    For a process that only serves, once it does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def later(clock: IReactorTime) -> LoopingCall:
    """What is to be started, every PERIOD, once things have settled."""
    call = LoopingCall(gc.collect, 1)
    call.clock = clock
    return call
