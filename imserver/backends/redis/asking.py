"""Requests of this node to others, from when they are asked until they are answered, refused or too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.backends.redis.faults import unavailable
from imserver.model.errors import ImError

SECONDS = 5.0
"""How long an answer is waited for."""


class Asking:
    """What is waited for.

    Args:
        clock: times how long.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._asked: dict[int, tuple[str, Deferred[Any], IDelayedCall]] = {}
        self._count = 0

    def open(self, node: str) -> tuple[int, Deferred[Any]]:
        """A request to a node: its number, and what fires with the answer."""
        self._count += 1
        number = self._count
        answered: Deferred[Any] = Deferred()
        self._asked[number] = node, answered, self._clock.callLater(SECONDS, self._too_late, number)
        return number, answered

    def answered(self, number: int, reply: Any) -> None:
        """An answer came; an ImError is a refusal. It may be too late."""
        self._end(number, reply)

    def refuse(self, concerned: Callable[[str], bool]) -> None:
        """Nobody of these nodes will answer any more."""
        for number, (node, _, _) in list(self._asked.items()):
            if concerned(node):
                self._end(number, unavailable("the node that was asked cannot be reached"))

    def _too_late(self, number: int) -> None:
        self._end(number, unavailable("the node that was asked did not answer"))

    def _end(self, number: int, outcome: Any) -> None:
        found = self._asked.pop(number, None)
        if found is None:
            return
        _, answered, timer = found
        if timer.active():
            timer.cancel()
        if isinstance(outcome, ImError):
            answered.errback(outcome)
        else:
            answered.callback(outcome)
