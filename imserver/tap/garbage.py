"""Python's collector of reference cycles, set for a server: little garbage in cycles, much that stays."""

from __future__ import annotations

import gc
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

THRESHOLDS: Final = (15_000, 300, 3)
"""New objects before the youngest are looked through, and how often until older ones are.

Messages make no cycles, nor do connections that end. Python's own 700 has
everything that waits for its commit looked through again and again, for nothing.
"""

NEWCOMERS: Final = 10
"""Times that connections came in, some two each time, before the youngest are looked through all the same:
a look takes as long as they are many, 10 ms where 150 came."""
EVERYBODY: Final = 10_000
"""Such times before all that there is is looked through, once few have come for a while;"""
AT_LAST: Final = 10 * EVERYBODY
"""or although many have."""
CALM_SECONDS: Final = 5.0
CALM: Final = 50
"""So few in these seconds are no storm: a balancer's checks of health alone are some 20."""


class Collector(Protocol):
    """The module `gc`."""

    def collect(self, generation: int = 2, /) -> int:
        """Looks through the youngest, some more or all that is not exempt."""

    def freeze(self) -> None:
        """Exempts all that there is."""

    def unfreeze(self) -> None:
        """Nothing is exempt."""


class Newcomers:
    """Keeps looks short while many sessions come.

    The youngest objects are looked through a few at a time, and what is left of them is exempt from then on:
    else the next look at older ones would have everybody wait for 0.2 s where ten thousand have come.
    Garbage among what is exempt (connections that vanish leave some within TLS) waits until all is looked
    through.
    """

    def __init__(self, clock: IReactorTime, collector: Collector = gc) -> None:
        self._clock = clock
        self._collector = collector
        self._count = 0
        self._looked_at = -1  # the count when the last look for calm was

    def came(self) -> None:
        """Connections came in."""
        self._count += 1
        if self._count % NEWCOMERS == 0:
            self._collector.collect(0)
            self._collector.freeze()
        if self._count >= EVERYBODY and self._looked_at < 0:
            self._wait()

    def _wait(self) -> None:
        self._looked_at = self._count
        self._clock.callLater(CALM_SECONDS, self._look)

    def _look(self) -> None:
        if self._count - self._looked_at > CALM and self._count < AT_LAST:
            self._wait()
            return
        self._count, self._looked_at = 0, -1
        self._collector.unfreeze()
        self._collector.collect()
        self._collector.freeze()


def settle() -> None:
    """Exempts what start-up made from ever being looked through, and sets the thresholds.

    For a process that only serves, once it does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
