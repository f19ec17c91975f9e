"""One wheel for the timers of all connections: deadlines, silence, pings, slow peers.

A connection keeps no delayed call of its own. It is looked at now and then and
says when to look again; receiving a byte costs it one attribute.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger


class Watched(Protocol):
    """What the wheel looks at. `wheel_slot` belongs to the wheel; it starts as -1."""

    wheel_slot: int

    def check(self, now: float) -> float | None:
        """Does what is due; returns when to look again (reactor seconds), None = never."""


class Wheel:
    """Slots of one tick each, turned by one delayed call, which runs only while there is something to watch.

    Attributes:
        now: reactor seconds at the last tick or `watch`: cheap, at most one tick old.
    """

    log = Logger()

    __slots__ = ("_call", "_clock", "_done", "_slots", "_tick", "_turning", "now")

    def __init__(self, clock: IReactorTime, tick: float = 1.0) -> None:
        """Args:
        tick: seconds between two turns; checks are late by one tick at the most.
        """
        self._clock = clock
        self._tick = tick
        # In order, so that one and the same run is always the same.
        self._slots: dict[int, dict[Watched, None]] = {}
        self._call: IDelayedCall | None = None
        self._done = -1
        self._turning = False
        self.now = clock.seconds()

    def watch(self, watched: Watched, when: float) -> None:
        """Looks at it at `when` (reactor seconds) instead of any time named before."""
        self.forget(watched)
        if self._call is None and not self._turning:
            self.now = self._clock.seconds()
            self._done = int(self.now / self._tick)
            self._call = self._clock.callLater(self._tick, self._turn)
        self._insert(watched, when)

    def forget(self, watched: Watched) -> None:
        """Never looks at it again."""
        slot = self._slots.get(watched.wheel_slot)
        if slot is not None:
            slot.pop(watched, None)
            if not slot:
                del self._slots[watched.wheel_slot]
                if not self._slots and self._call is not None:
                    self._call.cancel()
                    self._call = None
        watched.wheel_slot = -1

    def _insert(self, watched: Watched, when: float) -> None:
        # One slot late, never early: what is due in a slot's middle is due at its end.
        slot = max(int(when / self._tick) + 1, self._done + 1)
        watched.wheel_slot = slot
        self._slots.setdefault(slot, {})[watched] = None

    def _turn(self) -> None:
        self._call = None
        self.now = now = self._clock.seconds()
        current = int(now / self._tick)
        if current - self._done > len(self._slots):
            due = [slot for slot in sorted(self._slots) if slot <= current]
        else:
            due = [slot for slot in range(self._done + 1, current + 1) if slot in self._slots]
        self._done = current
        self._turning = True
        for slot in due:
            for watched in self._slots.pop(slot, {}):
                if watched.wheel_slot != slot:
                    continue  # forgotten, or moved, by one that was checked before it
                watched.wheel_slot = -1
                self._check(watched, now)
        self._turning = False
        if self._slots:
            self._call = self._clock.callLater(self._tick, self._turn)

    def _check(self, watched: Watched, now: float) -> None:
        try:
            when = watched.check(now)
        except Exception:
            # One connection's fault must not stop the clock of all others.
            self.log.failure("the check of a connection failed")
            return
        if when is not None and watched.wheel_slot == -1:
            self._insert(watched, when)
