"""A clock that calls nobody any more once its process has died."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer


@implementer(IReactorTime)
class Mortal:
    """One of several processes' clocks, all of which go by one.

    Attributes:
        dead: it calls nobody any more.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: set[DelayedCall] = set()
        self.dead = False

    def seconds(self) -> float:
        """See IReactorTime."""
        return self._clock.seconds()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kw: object) -> Any:
        """See IReactorTime."""

        def call() -> None:
            self._calls.discard(planned)
            if not self.dead:
                callable(*args, **kw)

        planned: Any = self._clock.callLater(delay, call)
        self._calls.add(planned)
        return planned

    def getDelayedCalls(self) -> Sequence[Any]:
        """See IReactorTime."""
        return [call for call in self._calls if call.active()]

    def die(self) -> None:
        """The process is gone."""
        self.dead = True
        for call in self.getDelayedCalls():
            call.cancel()
