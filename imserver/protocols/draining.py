"""Sends connections away in turn, so that those who come back elsewhere do not all come at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.model.accounts import KickReason, SessionKicked

ANSWER_TIME = 0.25
"""Seconds before a goodbye in which what was asked already is answered and nothing new is read."""
TURN = 0.1
"""Seconds between two turns; each sends its share away."""


class _Session(Protocol):
    def kicked(self, event: SessionKicked) -> None: ...


class _Connection(Protocol):
    closing: bool

    @property
    def session(self) -> _Session: ...

    def pause_reading(self) -> None: ...


class Drain:
    """One draining.

    Args:
        connections: those to be sent away, in this order.
        seconds: how long it takes until the last one is told.
    """

    def __init__(self, clock: IReactorTime, connections: Sequence[_Connection], seconds: float) -> None:
        self._clock = clock
        self._connections = connections
        self._turns = max(1, round(seconds / TURN))
        self._turn = 0
        self._began = clock.seconds()
        self._sent = 0
        self._waiting: set[IDelayedCall] = set()
        self._done: Deferred[None] = Deferred(lambda _: self._stop())

    def run(self) -> Deferred[None]:
        """See Doors.drain; to be called once."""
        self._next()
        return self._done

    def _next(self) -> None:
        self._turn += 1
        upto = len(self._connections) * self._turn // self._turns
        share = [one for one in self._connections[self._sent : upto] if not one.closing]
        self._sent = upto
        for one in share:
            one.pause_reading()
        last = self._turn == self._turns
        self._later(ANSWER_TIME, self._goodbye, share, last)
        if not last:
            # Not a turn after this one, which may have been late.
            due = self._began + self._turn * TURN
            self._later(max(0.0, due - self._clock.seconds()), self._next)

    def _later(self, delay: float, call: Callable[..., None], *arguments: object) -> None:
        def due() -> None:
            self._waiting.discard(waiting)
            call(*arguments)

        waiting = self._clock.callLater(delay, due)
        self._waiting.add(waiting)

    def _goodbye(self, share: Sequence[_Connection], last: bool) -> None:
        for one in share:
            one.session.kicked(SessionKicked(KickReason.SHUTDOWN, "this server is going down"))
        if last:
            self._done.callback(None)

    def _stop(self) -> None:
        for waiting in self._waiting:
            waiting.cancel()
        self._waiting.clear()
