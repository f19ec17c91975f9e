"""Python's collector of reference cycles, set for a server: little garbage in cycles, much that stays."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Final

THRESHOLDS: Final = (15_000, 300, 3)
"""New objects before the youngest are looked through, and how often until older ones are.

Messages make no cycles, nor do connections that end. Python's own 700 has
everything that waits for its commit looked through again and again, for nothing. The second is high because
a look at the older ones makes everybody wait while thousands of sessions are looked through.
"""

NEWCOMERS: Final = 75
"""Times that connections came in, some two each time, before the youngest are looked through all the same."""


class Young:
    """Has the youngest objects looked through a few at a time while many sessions come."""

    def __init__(self, collect: Callable[[int], object] = gc.collect) -> None:
        self._collect = collect
        self._left = NEWCOMERS

    def came(self) -> None:
        """Connections came in."""
        self._left -= 1
        if not self._left:
            self._left = NEWCOMERS
            self._collect(0)


def settle() -> None:
    """Exempts what start-up made from ever being looked through, and sets the thresholds.

    For a process that only serves, once it does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
