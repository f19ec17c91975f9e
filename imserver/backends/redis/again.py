"""What has to be said to Redis, however often it must be said.

A Redis that is there may refuse for a while: it is full, cannot write its file, or is busy. Waiting
for the next one that is reached would then be waiting for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.backends.redis.link import Redis

SECONDS = 1.0
"""How long after a refusal it is said again."""


class Again:
    """Has something said whenever Redis was reached, and a while after it was refused.

    Args:
        say: says it; when it is refused, whoever does that calls `later`.
    """

    def __init__(self, redis: Redis, clock: IReactorTime, say: Callable[[], None]) -> None:
        self._redis = redis
        self._clock = clock
        self._say = say
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Looks out for Redis; if it is there, it is said at once."""
        self._redis.watch(self._reached, _nothing)

    def now(self) -> None:
        """Has it said if Redis is there; else when it is reached."""
        if self._redis.connected:
            self._say()

    def later(self) -> None:
        """It was refused, or nobody knows whether it came."""
        if self._timer is None:
            self._timer = self._clock.callLater(SECONDS, self._due)

    def _due(self) -> None:
        self._timer = None
        self.now()

    def _reached(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._say()


def _nothing() -> None:
    pass
