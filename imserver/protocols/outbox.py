"""What waits to be written to one peer: bounded, joined into one write a turn.

Frames collect in a list. A shared `Flusher` writes, once per reactor turn, what
every connection has collected, in one `transport.write` each. While the
transport cannot take more, nothing is written, so the bytes that wait are here,
where they are counted, and not in the transport.

Messages are never dropped: when `writable` is False their session leaves them in
the store and reads them again once the owner was told `outbox_drained`. Answers
and events have no such place; more of them than the limit makes the peer slow.

A call's media waits apart (`media`), and is written only while nothing else waits.
It is no reason to call a peer slow: what it does not take is dropped.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.kernel import DrainWatch, Pace, held, kept_back, kernel_backlog
from imserver.protocols.media import MediaQueue, keep_unsent_low

WRITABLE_BELOW = 64 * 1024
"""Bytes queued from which on messages stay in the store."""
CONGESTED_FROM = 256 * 1024
"""Bytes queued from which on the peer's requests wait: it does not read its answers."""
MARK_BYTES = 4 * 1024
"""Bytes after which the next mark is set: so marks are bounded by what the kernel and this queue hold."""
IDLE_LOOKS = 40
"""Looks at the kernel of a peer that takes nothing, before it is looked at less often."""
CHUNK = 64 * 1024
"""Whole frames up to this many bytes are handed to the transport at once."""


class OutboxOwner(Protocol):
    """Who is told what happens to an outbox. None of these may raise."""

    def outbox_drained(self) -> None:
        """There is room again, after `writable` was False or `congested` True."""

    def outbox_overflown(self) -> None:
        """More answers and events than the limit: the peer is slow."""

    def outbox_delivered(self) -> None:
        """The peer's kernel has everything whose arrival somebody wants to know of."""

    def outbox_passed(self, seq: int) -> None:
        """The peer's kernel has the message of this number and those before it, of more that are queued."""

    def outbox_finished(self) -> None:
        """After `finish`: everything was handed to the transport."""


@implementer(IPushProducer)
class Outbox:
    """The frames for one peer.

    Attributes:
        total: bytes queued here and in the transport, media not counted.
        pace: given where every frame needs a write of its own; decides when the next one may be made.
    """

    __slots__ = (
        "_blocked",
        "_budget",
        "_confirm_messages",
        "_dirty",
        "_finishing",
        "_flusher",
        "_frames",
        "_idle_looks",
        "_limit",
        "_lost",
        "_mark_until",
        "_marks",
        "_media",
        "_media_limit",
        "_owner",
        "_progress",
        "_pulled",
        "_pushed",
        "_queued",
        "_refused",
        "_rounds",
        "_sending",
        "_stuck_since",
        "_transport",
        "_watch",
        "_written",
        "pace",
        "total",
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
        self.pace: Pace | None = None
        self._queued = 0  # bytes in _frames
        self._sending = 0  # bytes the transport has and may still hold
        self._blocked = False  # the transport takes nothing now
        self._pulled = False  # registered as a pull producer
        self._dirty = False  # the flusher knows
        self._refused = False  # somebody was told to wait for room
        self._pushed = False  # something to be confirmed was queued since the peer's kernel last had all
        self._written = 0  # bytes ever given to the transport
        # Where messages end, as (bytes ever queued, number), where that can be told from the kernel's count.
        self._marks: deque[tuple[int, int]] = deque()
        self._mark_until = 0  # so far the last mark may move
        self._idle_looks = 0  # at the kernel, since it last had more
        self._finishing = False
        self._lost = False
        self._rounds = 0
        self._progress: tuple[int, int | None, int] | None = None
        self._stuck_since = 0.0

    def start(self) -> None:
        """Registers with the transport. To be called once the transport is this connection's own."""
        # As a pull producer of a plain socket the outbox hears of every write
        # that was taken, however small, so its count of bytes is exact. Other
        # transports (TLS, memory) only know push producers; up to the 64 KiB
        # they take before they say stop count as sent.
        self._pulled = isinstance(self._transport, FileDescriptor)
        self._transport.registerProducer(self, not self._pulled)

    # Queueing

    def put(self, frame: bytes) -> None:
        """Queues an answer or an event."""
        if self._finishing or self._lost:
            return
        total = self.total
        if total > self._limit or (total > WRITABLE_BELOW and self._budget.exhausted):
            self._owner.outbox_overflown()
            return
        self._add(frame)

    def push(self, frame: bytes, seq: int = 0) -> None:
        """Queues a message, or a part of one; the caller has looked at `writable`.

        Args:
            seq: the message's number, with its last part.
        """
        if not (self._finishing or self._lost):
            self._add(frame)
            if self._confirm_messages:
                self._pushed = True
                if seq and self._pulled:
                    self._mark(seq)

    def _mark(self, seq: int) -> None:
        at = self._written + self._queued
        if self._marks and at < self._mark_until:
            self._marks[-1] = (at, seq)
        else:
            self._marks.append((at, seq))
            self._mark_until = at + MARK_BYTES

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
            self._pushed = True
            if not self.total:
                self._watch.add(self)

    def _add(self, frame: bytes) -> None:
        count = len(frame)
        self._frames.append(frame)
        self._queued += count
        self.total += count
        self._budget.used += count
        if not self._dirty and not self._blocked:
            self._dirty = True
            self._flusher.add(self)

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

    # Writing

    def flush(self) -> None:
        """Writes what was collected, as far as the transport takes it."""
        self._dirty = False
        pace = self.pace
        while self._frames and not self._blocked and not self._lost:
            if pace is None:
                self._write(self._take())
            elif pace.ready():
                self._write(self._frames.pop(0))
                pace.wrote()
            else:
                return
        if self._media is not None:
            self._flush_media(self._media)
        if self._finishing and not self._frames:
            self._end()

    def _flush_media(self, media: MediaQueue) -> None:
        pace = self.pace
        while media.size and not (self._frames or self._blocked or self._lost):
            if pace is not None and not pace.ready(media=True):
                return
            self._blocked = self._pulled
            data = media.take(CHUNK if pace is None else 0)
            self._written += len(data)
            self._transport.write(data)
            if not self._blocked:
                self._sent()
            if pace is not None:
                pace.wrote()

    def _take(self) -> bytes:
        frames = self._frames
        if self._queued <= CHUNK:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            frames.clear()
            return data
        size = taken = 0
        while taken < len(frames) and (not taken or size + len(frames[taken]) <= CHUNK):
            size += len(frames[taken])
            taken += 1
        data = b"".join(frames[:taken])
        del frames[:taken]
        return data

    def _write(self, data: bytes) -> None:
        count = len(data)
        self._queued -= count
        self._sending += count
        self._written += count
        self._blocked = self._pulled
        self._transport.write(data)
        if not self._blocked:
            self._sent()

    def _sent(self) -> None:
        count, self._sending = self._sending, 0
        self.total -= count
        self._rounds += 1
        self._budget.release(count)
        if self._media is not None:
            self._media.sent()
        if self._pushed and (self._marks or not self._frames):
            self._idle_looks = 0
            self._watch.add(self)
        self._tell_drained()

    def _tell_drained(self) -> None:
        if self._refused and self.total < WRITABLE_BELOW and not self._lost:
            self._refused = False
            self._owner.outbox_drained()

    # twisted.internet.interfaces.IPushProducer

    def pauseProducing(self) -> None:
        """The transport is full; may be called again and again."""
        self._blocked = True

    def resumeProducing(self) -> None:
        """The transport has sent everything it was given."""
        self._blocked = False
        media = self._media
        if self._sending or (media is not None and media.sending):
            self._sent()
        if not self._dirty and (self._frames or self._finishing or (media is not None and media.size)):
            self.flush()

    def stopProducing(self) -> None:
        """The transport is gone; the protocol hears of it on its own."""

    # The end

    def drop_unsent(self) -> None:
        """Forgets the frames the transport was not given. What it was given are whole frames."""
        dropped, self._queued = self._queued, 0
        self._frames.clear()
        while self._marks and self._marks[-1][0] > self._written:
            self._marks.pop()
        self.total -= dropped
        self._budget.release(dropped)
        self.drop_media()

    def finish(self) -> None:
        """Takes nothing more; `outbox_finished` follows when everything was handed over."""
        if not self._finishing:
            self._finishing = True
            self.drop_media()
            if not self._dirty and not self._blocked:
                self._dirty = True
                self._flusher.add(self)

    def _end(self) -> None:
        if not self._lost:
            self._lost = True  # from here on what is left is the transport's affair
            self._transport.unregisterProducer()
            self._budget.forget(self)
            self._budget.release(self.total)
            self.total = self._sending = 0
            self._forget_media()
            self._owner.outbox_finished()

    def lost(self) -> None:
        """The connection is gone."""
        if not self._lost:
            self._lost = True
            self._frames.clear()
            self._marks.clear()
            self._budget.forget(self)
            count, self.total, self._queued, self._sending = self.total, 0, 0, 0
            self._budget.release(count)
            self._forget_media()

    def _forget_media(self) -> None:
        if self._media is not None:
            self._media.clear()
            self._media.sent()

    # What the wheel and the watch ask

    def stuck(self, now: float, patience: float) -> bool:
        """Whether bytes wait of which the peer took none for `patience` seconds, as far as calls can tell."""
        if not self.total:
            self._progress = None
            return False
        progress = (
            self._rounds,
            kernel_backlog(self._transport),
            getattr(self._transport, "offset", 0),
        )
        if progress != self._progress:
            self._progress = progress
            self._stuck_since = now
            if self._marks:
                self._watch.add(self)
            return False
        return now - self._stuck_since >= patience

    def kernel_drained(self) -> bool | None:
        """See kernel.Awaiting."""
        if self._lost or not self._pushed:
            return None
        if self.total:
            if not self._marks:
                return None  # asked again once the transport has sent more
            passed = self._pass_marks(kernel_backlog(self._transport))
            self._idle_looks = 0 if passed else self._idle_looks + 1
            # After that, when the transport has sent more, and now and then by the wheel.
            return False if self._idle_looks < IDLE_LOOKS else None
        backlog = kernel_backlog(self._transport)
        if backlog:
            self._pass_marks(backlog)
            return False
        if not self._pulled and kept_back(self._transport):
            return False  # TLS counts as sent what it was given, and the kernel may have nothing of it
        self._pushed = False
        self._marks.clear()
        self._owner.outbox_delivered()
        return True

    def _pass_marks(self, backlog: int | None) -> bool:
        """Tells the owner of messages that the kernel has not got among what it still holds."""
        seq = 0
        if backlog is not None and self._marks:
            confirmed = self._written - held(self._transport) - backlog
            while self._marks and self._marks[0][0] <= confirmed:
                seq = self._marks.popleft()[1]
            if seq:
                self._owner.outbox_passed(seq)
        return seq > 0
