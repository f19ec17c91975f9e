"""A few at a time, in order: what may come by the thousand at once must not keep messages waiting."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class Turnstile:
    """Lets so many through in one turn of the reactor; the others follow in the next ones, in their order."""

    def __init__(self, clock: IReactorTime, per_turn: int) -> None:
        self._clock = clock
        self._per_turn = per_turn
        self._left = per_turn  # of this turn
        self._waiting: deque[Deferred[None]] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self) -> bool:
        """Passes, if there is room in this turn; False: `passed` will wait."""
        if self._left == self._per_turn:
            self._clock.callLater(0, self._next_turn)
        if not self._left:
            return False
        self._left -= 1
        return True

    async def passed(self) -> None:
        """Returns at once, or when one's turn has come."""
        if self.take():
            return
        mine: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(mine)
        await mine

    def _next_turn(self) -> None:
        self._left = self._per_turn
        if self._waiting:
            self._clock.callLater(0, self._next_turn)
            while self._waiting and self._left:
                self._left -= 1
                self._waiting.popleft().callback(None)
