"""What of one peer's queue has arrived: what its kernel has confirmed.

On a plain socket bytes are counted from the connection's start: those that were written,
less those that the transport still holds, less the kernel's send queue, have arrived. A
message has arrived when all bytes up to its end have, whatever they are (answers, events,
media); **marks** remember where messages end. Other transports (TLS, memory) write more bytes
than they are given, or keep them: there nothing counts before everything has arrived.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.abstract import FileDescriptor

from imserver.protocols.gone import GONE
from imserver.protocols.kernel import DrainWatch, held, kept_back, kernel_backlog

MARK_BYTES = 4 * 1024
"""Bytes after which the next mark is set: so marks are bounded by what the kernel and the queue hold."""
_NO_MARKS: list[tuple[int, int]] = []
"""What connections without marks share; never changed."""
IDLE_LOOKS = 40
"""Looks at the kernel of a peer that takes nothing, before it is looked at less often."""


class ArrivalOwner(Protocol):
    """Who is told what arrived. None of these may raise."""

    def outbox_delivered(self) -> None:
        """The peer's kernel has everything whose arrival somebody wants to know of."""

    def outbox_passed(self, seq: int) -> None:
        """The peer's kernel has the message of this number and those before it, of more that are queued."""


class Queue(Protocol):
    """The outbox, as seen from here.

    Attributes:
        total: bytes queued there and in the transport, media not counted.
        written: bytes ever given to the transport, media included.
    """

    total: int
    written: int


class Arrival:
    """What of one outbox has arrived. Implements kernel.Awaiting.

    Attributes:
        wanted: something was queued of which somebody wants to know when it has arrived.
        marks: where messages end, as (bytes ever queued, number), the first ones first.
        idle_looks: at the kernel, since it last had more.
    """

    __slots__ = (
        "_mark_until",
        "_owner",
        "_progress",
        "_queue",
        "_stuck_since",
        "_transport",
        "_watch",
        "idle_looks",
        "marks",
        "wanted",
    )

    def __init__(self, queue: Queue, transport: Any, owner: ArrivalOwner, watch: DrainWatch) -> None:
        self._queue = queue
        self._transport = transport
        self._owner = owner
        self._watch = watch
        self.wanted = False
        self.marks = _NO_MARKS
        self._mark_until = 0  # so far the last mark may move
        self.idle_looks = 0
        self._progress: tuple[int, int | None, int] | None = None
        self._stuck_since = 0.0

    def mark(self, at: int, seq: int) -> None:
        """The message of this number ends after so many bytes ever queued; only for plain sockets."""
        if self.marks and at < self._mark_until:
            self.marks[-1] = (at, seq)
        else:
            if self.marks is _NO_MARKS:
                self.marks = []
            self.marks.append((at, seq))
            self._mark_until = at + MARK_BYTES

    def unmark(self) -> None:
        """What was not written yet never will be."""
        marks, written = self.marks, self._queue.written
        while marks and marks[-1][0] > written:
            marks.pop()

    def forget(self) -> None:
        """The connection is gone: nothing arrives any more."""
        self.wanted = False
        self.marks = _NO_MARKS
        self._queue = self._owner = GONE

    def kernel_drained(self) -> bool | None:
        """See kernel.Awaiting."""
        if not self.wanted:
            return None
        if self._queue.total:
            if not self.marks:
                return None  # asked again once the transport has sent more
            passed = self._pass_marks(kernel_backlog(self._transport))
            self.idle_looks = 0 if passed else self.idle_looks + 1
            # After that, when the transport has sent more, and now and then by the wheel.
            return False if self.idle_looks < IDLE_LOOKS else None
        backlog = kernel_backlog(self._transport)
        if backlog:
            self._pass_marks(backlog)
            return False
        if not isinstance(self._transport, FileDescriptor) and kept_back(self._transport):
            return False  # TLS counts as sent what it was given, and the kernel may have nothing of it
        self.wanted = False
        self.marks = _NO_MARKS
        self._owner.outbox_delivered()
        return True

    def _pass_marks(self, backlog: int | None) -> bool:
        """Tells the owner of messages that are not among what the kernel still holds."""
        marks = self.marks
        if backlog is None or not marks:
            return False
        arrived = self._queue.written - held(self._transport) - backlog
        count = 0
        while count < len(marks) and marks[count][0] <= arrived:
            count += 1
        if not count:
            return False
        seq = marks[count - 1][1]
        del marks[:count]
        self._owner.outbox_passed(seq)
        return True

    def stuck(self, now: float, patience: float, rounds: int) -> bool:
        """Whether bytes wait of which the peer took none for `patience` seconds, as far as calls can tell.

        Args:
            rounds: how often the transport has sent all it was given.
        """
        if not self._queue.total:
            self._progress = None
            return False
        progress = (rounds, kernel_backlog(self._transport), kept_back(self._transport))
        if progress != self._progress:
            self._progress = progress
            self._stuck_since = now
            if self.marks:
                self._watch.add(self)
            return False
        return now - self._stuck_since >= patience
