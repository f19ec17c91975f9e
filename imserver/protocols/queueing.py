"""What waits for one peer, bounded, and whether there is room for more.

Messages are never dropped: when `writable` is False their session leaves them in
the store and reads them again once the owner was told `outbox_drained`. Answers
and events have no such place; more of them than the limit makes the peer slow.

A call's media waits apart (`media`) behind everything else. It is no reason to call a
peer slow: what it does not take is dropped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

from imserver.protocols.arrival import Arrival, ArrivalOwner
from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.kernel import DrainWatch
from imserver.protocols.media import MediaQueue, keep_unsent_low

WRITABLE_BELOW = 64 * 1024
"""Bytes queued from which on messages stay in the store."""
CONGESTED_FROM = 256 * 1024
"""Bytes queued from which on the peer's requests wait: it does not read its answers."""


class OutboxOwner(ArrivalOwner, Protocol):
    """Who is told what happens to an outbox. None of these may raise."""

    def outbox_drained(self) -> None:
        """There is room again, after `writable` was False or `congested` True."""

    def outbox_overflown(self) -> None:
        """More answers and events than the limit: the peer is slow."""

    def outbox_finished(self) -> None:
        """After `finish`: everything was handed to the transport."""


class FrameQueue(ABC):
    """The frames for one peer; what writes them is the Outbox.

    Attributes:
        total: bytes queued here and in the transport, media not counted.
        written: bytes ever given to the transport, media included.
    """

    __slots__ = (
        "_arrival",
        "_blocked",
        "_budget",
        "_confirm_messages",
        "_dirty",
        "_finishing",
        "_flusher",
        "_frames",
        "_limit",
        "_lost",
        "_media",
        "_media_limit",
        "_owner",
        "_pulled",
        "_queued",
        "_refused",
        "_transport",
        "_watch",
        "total",
        "written",
    )

    def __init__(
        self,
        transport: Any,
        owner: OutboxOwner,
        flusher: Flusher,
        budget: Budget,
        limit: int,
        watch: DrainWatch,
        *,
        confirm_messages: bool = False,
        media_limit: int = 1024 * 1024,
    ) -> None:
        """Args:
        limit: bytes of answers and events before the peer counts as slow.
        watch: asks the kernel what the peer has.
        confirm_messages: the owner wants to hear of the arrival of messages, too.
        media_limit: bytes of media before the oldest is dropped.
        """
        self._transport = transport
        self._owner = owner
        self._flusher = flusher
        self._budget = budget
        self._limit = limit
        self._watch = watch
        self._confirm_messages = confirm_messages
        self._media_limit = media_limit
        self._media: MediaQueue | None = None
        self._frames: list[bytes] = []
        self.total = 0
        self.written = 0
        self._arrival = Arrival(self, transport, owner, watch)
        self._queued = 0  # bytes in _frames
        self._blocked = False  # the transport takes nothing now
        self._pulled = False  # the transport tells of every write that it has made
        self._dirty = False  # the flusher knows
        self._refused = False  # somebody was told to wait for room
        self._finishing = False
        self._lost = False

    @abstractmethod
    def flush(self) -> None:
        """Writes what was collected, as far as the transport takes it."""

    # What comes in

    def put(self, frame: bytes) -> None:
        """Queues an answer or an event."""
        if self._finishing or self._lost:
            return
        total = self.total
        if total > self._limit or (total > WRITABLE_BELOW and self._budget.exhausted):
            self._owner.outbox_overflown()
            return
        # The same stands in `push`: a call of its own would cost every answer and every message.
        count = len(frame)
        self._frames.append(frame)
        self._queued += count
        self.total = total + count
        self._budget.used += count
        if not self._dirty and not self._blocked:
            self._dirty = True
            self._flusher.add(self)

    def push(self, frame: bytes, seq: int = 0) -> None:
        """Queues a message, or a part of one; the caller has looked at `writable`.

        Args:
            seq: the message's number, with its last part.
        """
        if not (self._finishing or self._lost):
            count = len(frame)
            self._frames.append(frame)
            self._queued += count
            self.total += count
            self._budget.used += count
            if not self._dirty and not self._blocked:
                self._dirty = True
                self._flusher.add(self)
            if self._confirm_messages:
                self._arrival.wanted = True
                if seq and self._pulled:
                    self._arrival.mark(self.written + self._queued, seq)

    def put_all(self, frames: list[bytes]) -> None:
        """Queues answers or events in a row."""
        if self._finishing or self._lost or not frames:
            return
        total = self.total
        if total > self._limit or (total > WRITABLE_BELOW and self._budget.exhausted):
            self._owner.outbox_overflown()
            return
        self._add(frames, sum(map(len, frames)))

    def push_all(self, frames: list[bytes], size: int, seq: int) -> None:
        """Queues messages in a row, a frame each; the caller has looked at `room`.

        Args:
            size: their bytes.
            seq: the last one's number.
        """
        if not (self._finishing or self._lost):
            before = self.written + self._queued
            self._add(frames, size)
            if self._confirm_messages:
                self._arrival.wanted = True
                if self._pulled:
                    for number, frame in enumerate(frames, seq - len(frames) + 1):
                        before += len(frame)
                        self._arrival.mark(before, number)

    def _add(self, frames: list[bytes], size: int) -> None:
        self._frames += frames
        self._queued += size
        self.total += size
        self._budget.used += size
        if not self._dirty and not self._blocked:
            self._dirty = True
            self._flusher.add(self)

    def put_media(self, frame: bytes) -> int:
        """Queues media behind everything else; returns how many frames were dropped for want of room."""
        if self._finishing or self._lost:
            return 0
        media = self._media
        if media is None:
            media = self._media = MediaQueue(self._media_limit, self._budget)
            keep_unsent_low(self._transport)
        dropped = media.put(frame)
        if not self._dirty and not self._blocked:
            self._dirty = True
            self._flusher.add(self)
        return dropped

    def drop_media(self) -> int:
        """Forgets the media that waits; returns how many frames that were."""
        return 0 if self._media is None else self._media.clear()

    def pass_over(self) -> None:
        """A message was not put on the wire: the peer has it as soon as it has those before it."""
        if self._confirm_messages:
            self.confirm()

    def confirm(self) -> None:
        """The owner wants to hear when the peer's kernel has everything queued so far."""
        if not (self._finishing or self._lost):
            self._arrival.wanted = True
            if not self.total:
                self._watch.add(self._arrival)

    def drop_unsent(self) -> None:
        """Forgets the frames the transport was not given. What it was given are whole frames."""
        dropped, self._queued = self._queued, 0
        self._frames.clear()
        self._arrival.unmark()
        self.total -= dropped
        self._budget.release(dropped)
        self.drop_media()

    # Room

    @property
    def writable(self) -> bool:
        """Whether messages may be queued; after False the owner is told when they may."""
        budget = self._budget
        total = self.total
        if total < WRITABLE_BELOW and budget.used < (budget.tight_from if total else budget.limit):
            return not self._finishing
        self._refuse()
        return False

    @property
    def room(self) -> int:
        """Bytes of messages that may be queued, the last one as long as it is; 0 or less: not `writable`.

        Unlike `writable` it has nobody told when there is more.
        """
        if self._finishing or self._lost:
            return 0
        budget, total = self._budget, self.total
        room = min(WRITABLE_BELOW - total, budget.tight_from - budget.used)
        if room <= 0 and not total and budget.used < budget.limit:
            return 1
        return room

    @property
    def congested(self) -> bool:
        """Whether the peer's requests should wait; after True the owner is told when they need not."""
        total = self.total
        if not total or (total < CONGESTED_FROM and self._budget.used < self._budget.tight_from):
            return False
        self._refuse()
        return True

    def _refuse(self) -> None:
        self._refused = True
        if self._budget.used >= self._budget.tight_from:
            self._budget.wait(self, not self.total)

    def budget_freed(self) -> None:
        """Called by the budget."""
        self._tell_drained()

    def _tell_drained(self) -> None:
        if self._refused and self.total < WRITABLE_BELOW and not self._lost:
            self._refused = False
            self._owner.outbox_drained()
