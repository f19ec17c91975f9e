"""Python's collector of reference cycles, set for a server: little garbage in cycles, much that stays."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (15_000, 3, 10)
"""New objects before the youngest are looked through, and how often until older ones are.

Messages make no cycles, nor do connections that end. Python's own 700 has
everything that waits for its commit looked through again and again, for nothing. The second is low because
thousands of sessions that come at once are looked through together, and everybody waits for that.
"""


def settle() -> None:
    """Exempts what start-up made from ever being looked through, and sets the thresholds.

    For a process that only serves, once it does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
