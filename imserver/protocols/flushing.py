"""What all outboxes share: one budget of bytes, and one call a turn that writes them all."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger


class Writer(Protocol):
    """An outbox, as seen from here."""

    def flush(self) -> None:
        """Write what was collected."""

    def budget_freed(self) -> None:
        """There is budget again."""


class Budget:
    """The bytes all outboxes together may hold.

    The second half is kept for outboxes that are empty, so that peers who read
    are served while others let their share lie: an outbox that is stuck is not
    empty, and takes nothing of it.

    Attributes:
        used: bytes queued now.
        media: those of them that are a call's media; at most a quarter of the limit, so that
            media leaves room for what cannot be dropped.
        limit: at this many, no message is queued at all.
        tight_from: from this many on, only empty outboxes take messages.
    """

    __slots__ = ("_starving", "_waiting", "limit", "media", "tight_from", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.tight_from = limit // 2
        self.used = 0
        self.media = 0
        self._waiting: dict[Writer, None] = {}
        self._starving: dict[Writer, None] = {}

    @property
    def exhausted(self) -> bool:
        """Whether nothing at all may be queued."""
        return self.used >= self.limit

    def media_fits(self, count: int) -> bool:
        """Whether so many bytes of media may be queued."""
        return self.media + count <= self.limit // 4 and self.used + count <= self.limit

    def take_media(self, count: int) -> None:
        """They are queued."""
        self.media += count
        self.used += count

    def release_media(self, count: int) -> None:
        """Gives bytes of media back."""
        self.media -= count
        self.release(count)

    def wait(self, outbox: Writer, empty: bool) -> None:
        """Remembers an outbox that was refused for want of budget."""
        (self._starving if empty else self._waiting)[outbox] = None

    def forget(self, outbox: Writer) -> None:
        """Its connection is gone."""
        self._waiting.pop(outbox, None)
        self._starving.pop(outbox, None)

    def release(self, count: int) -> None:
        """Gives bytes back. Empty outboxes are told when an eighth is free, the others at five eighths."""
        self.used -= count
        if self._starving and self.used <= self.limit - self.limit // 8:
            starving, self._starving = self._starving, {}
            for outbox in starving:
                outbox.budget_freed()
        if self._waiting and self.used <= self.limit * 3 // 8:
            waiting, self._waiting = self._waiting, {}
            for outbox in waiting:
                outbox.budget_freed()


class Flusher:
    """Writes what all connections have collected, once per reactor turn, by one delayed call."""

    log: ClassVar[Any] = Logger()

    __slots__ = ("_clock", "_dirty")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._dirty: list[Writer] = []

    def add(self, outbox: Writer) -> None:
        """Has it flushed at the end of this turn; the outbox sees to it that it is added once."""
        if not self._dirty:
            self._clock.callLater(0, self._run)
        self._dirty.append(outbox)

    def _run(self) -> None:
        dirty, self._dirty = self._dirty, []
        for outbox in dirty:
            try:
                outbox.flush()
            except Exception:
                self.log.failure("a connection could not be written to")
