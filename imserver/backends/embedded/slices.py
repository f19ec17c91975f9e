"""Much that has to be written some time is written a slice at a time.

When thousands log in or are lost at once there are thousands of cursors and times to write. What is sent
meanwhile would wait for a transaction of them all, 10 to 40 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

K = TypeVar("K")

SLICE: Final = 128
"""Things in one transaction: less than 1 ms of the writer's time, 0.3 ms of the reactor's."""
PAUSE_SECONDS: Final = 0.005
"""After each slice."""


class Slices(Generic[K]):
    """See the module.

    Args:
        clock: times the pauses.
        write: has these written; what it returns fires once they are or cannot be, and never fails.
    """

    def __init__(self, clock: IReactorTime, write: Callable[[list[K]], Deferred[None]]) -> None:
        self._clock = clock
        self._write = write
        self._due: list[K] = []
        self._under_way = False
        self._pause: IDelayedCall | None = None

    @property
    def due(self) -> list[K]:
        """What no slice has been made of yet."""
        return self._due

    def begin(self, due: Callable[[], list[K]]) -> None:
        """Writes what is due, unless what was due before still is being written.

        Args:
            due: called for it, where it can be begun.
        """
        if not self._due and not self._under_way:
            self._due = due()
            self._next()

    def stop(self) -> list[K]:
        """No further slices; returns what was to be in them."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        due, self._due = self._due, []
        return due

    def _next(self) -> None:
        self._pause = None
        some, self._due = self._due[:SLICE], self._due[SLICE:]
        if some:
            self._under_way = True
            self._write(some).addCallback(self._over)

    def _over(self, _: Any) -> None:
        self._under_way = False
        if self._due:
            self._pause = self._clock.callLater(PAUSE_SECONDS, self._next)
