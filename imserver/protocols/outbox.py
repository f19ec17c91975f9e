"""What is written to one peer: joined into one write a turn.

Frames collect in a queue (`queueing`). A shared `Flusher` writes, once per reactor turn, what
every connection has collected, in one write each. While the
transport cannot take more, nothing is written, so the bytes that wait are here,
where they are counted, and not in the transport.

A plain socket is given them at once (by `send`, as its transport's own `doWrite` does in the end):
`write` would have the reactor ask the kernel first whether there is room, which there nearly always is,
and that costs several times as much. What the kernel does not take goes the ordinary way.

A call's media is written only while nothing else waits. What of all this the peer's
kernel has is told by `arrival`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPushProducer
from zope.interface import classImplements

from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.gone import GONE
from imserver.protocols.kernel import DrainWatch, Pace
from imserver.protocols.media import MediaQueue
from imserver.protocols.queueing import FrameQueue, OutboxOwner

CHUNK = 64 * 1024
"""Whole frames up to this many bytes are handed to the transport at once."""


class Outbox(FrameQueue):
    """The frames for one peer, and their way into its transport.

    Attributes:
        pace: given where every frame needs a write of its own; decides when the next one may be made.
    """

    __slots__ = ("_rounds", "_sending", "pace")

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
        """See FrameQueue."""
        super().__init__(
            transport, owner, flusher, budget, limit, watch,
            confirm_messages=confirm_messages, media_limit=media_limit,
        )  # fmt: skip
        self.pace: Pace | None = None
        self._sending = 0  # bytes the transport has and may still hold
        self._rounds = 0  # how often it has sent all it was given

    def start(self) -> None:
        """Registers with the transport. To be called once the transport is this connection's own."""
        # As a pull producer of a plain socket the outbox hears of every write
        # that was taken, however small, so its count of bytes is exact. Other
        # transports (TLS, memory) only know push producers; up to the 64 KiB
        # they take before they say stop count as sent.
        self._pulled = isinstance(self._transport, FileDescriptor) and hasattr(self._transport, "socket")
        self._transport.registerProducer(self, not self._pulled)

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
            self.written += len(data)
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
        self.written += count
        if self._pulled:
            if self.pace is None:
                data = self._write_now(data)
            self._blocked = bool(data)
        if data:
            self._transport.write(data)
        if not self._blocked:
            self._sent()

    def _write_now(self, data: bytes) -> bytes:
        """Gives a plain socket what its kernel takes now; returns the rest."""
        transport = self._transport
        # Media's kernel queue is kept short (see `media`), which only a write that waits for room respects.
        if (
            self._media is not None
            or transport.dataBuffer  # what `held` counts
            or transport._tempDataLen
            or transport.disconnecting
            or not transport.connected
        ):
            return data
        try:
            count: int = transport.socket.send(data)
        except OSError:
            # It is found again by the transport's own attempt, and told where it belongs.
            return data
        return data[count:]

    def _sent(self) -> None:
        count, self._sending = self._sending, 0
        self.total -= count
        self._rounds += 1
        self._budget.release(count)
        if self._media is not None:
            self._media.sent()
        arrival = self._arrival
        if arrival.wanted and (arrival.marks or not self._frames):
            arrival.idle_looks = 0
            self._watch.add(arrival)
        if self._refused:
            self._tell_drained()

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
            self._arrival.forget()
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
            self._arrival.forget()
            self._budget.forget(self)
            count, self.total, self._queued, self._sending = self.total, 0, 0, 0
            self._budget.release(count)
            self._forget_media()
        self._owner = GONE
        self.pace = None

    def _forget_media(self) -> None:
        if self._media is not None:
            self._media.clear()
            self._media.sent()

    # What is asked of it

    def kernel_drained(self) -> bool | None:
        """Asks the kernel at once, see kernel.Awaiting; the watch does it on its own."""
        return self._arrival.kernel_drained()

    def stuck(self, now: float, patience: float) -> bool:
        """See Arrival.stuck."""
        return self._arrival.stuck(now, patience, self._rounds)


# Not as a decorator: whatever has one is not compiled.
classImplements(Outbox, IPushProducer)
