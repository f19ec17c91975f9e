"""How long to wait before the next attempt to connect."""

from __future__ import annotations

from random import Random


class Backoff:
    """Delays that double, each drawn from the upper half of its range.

    So that clients of a server that was restarted do not all come back at once.
    """

    __slots__ = ("_attempts", "_first", "_limit", "_random")

    def __init__(self, random: Random, first: float = 0.2, limit: float = 30.0) -> None:
        """Args:
        first / limit: seconds, the longest first delay and the longest of all.
        """
        self._random = random
        self._first = first
        self._limit = limit
        self._attempts = 0

    def next(self) -> float:
        """Seconds to wait now."""
        # Beyond 2**32 the limit holds whatever the first delay was.
        ceiling = min(self._limit, self._first * 2.0 ** min(self._attempts, 32))
        self._attempts += 1
        return ceiling * (0.5 + 0.5 * self._random.random())

    def reset(self) -> None:
        """It worked: the next delay is the first one again."""
        self._attempts = 0
