"""Whose turn it is: frames are handled strictly in the order in which they came.

Many sends may wait for their commit at a time. Every other command runs alone; what
comes meanwhile waits here, and when much of it waits, reading stops. Nothing is
lost or refused.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from imserver.protocols.gone import GONE
from imserver.protocols.output import NORMAL, SessionLink
from imserver.wire.base import Request, WireError

MAX_UNANSWERED = 256
"""Sends that may wait for their commit; beyond it frames wait."""
QUEUED_FRAMES = 64
QUEUED_BYTES = 64 * 1024
"""Waiting frames from which on the connection is not read."""


class Handler(Protocol):
    """Who handles what has its turn. None of these may raise."""

    def handle(self, frame: bytes | WireError) -> None:
        """Handles a frame, or what the framing has to say instead of one."""

    def handle_again(self, request: Request) -> None:
        """Does what it had put off by `hold` or `slow_down`."""


class Turns:
    """The order of one peer's frames.

    Attributes:
        busy: nothing else may be handled: a coroutine runs, `held` waits, or the peer is slowed.
        unanswered: sends that wait for their commit.
        held: waits until all sends are answered.
        queue: the frames that wait; None = none.
        input_ended: the peer asks nothing more.

    The handler counts `unanswered` itself and calls `answered` where one of the last three says
    that something waits for that, so that a send costs no call of its own.
    """

    __slots__ = (
        "_clock",
        "_delayed",
        "_ended",
        "_handler",
        "_link",
        "_outbox",
        "_pumping",
        "_queued_bytes",
        "busy",
        "held",
        "input_ended",
        "queue",
        "unanswered",
    )

    def __init__(self, handler: Handler, link: SessionLink, clock: IReactorTime) -> None:
        self._handler = handler
        self._link = link
        self._outbox = link.outbox
        self._clock = clock
        self.busy = False
        self.unanswered = 0
        self.held: Request | None = None
        self.queue: deque[bytes | WireError] | None = None
        self.input_ended = False
        self._queued_bytes = 0
        self._delayed: IDelayedCall | None = None  # the peer is slowed until then
        self._pumping = False
        self._ended = False

    # What comes in

    def received(self, frame: bytes | WireError) -> None:
        """Takes the next frame, or what the framing has to say instead of one."""
        if self._ended:
            return
        # As `_blocked` has it, in place: most frames need nothing else.
        if (
            self.queue is None
            and not self.busy
            and self.unanswered < MAX_UNANSWERED
            and not (self._outbox.total and self._outbox.congested)
        ):
            self._handler.handle(frame)
            return
        queue = self.queue
        if queue is None:
            queue = self.queue = deque()
        queue.append(frame)
        if type(frame) is bytes:
            self._queued_bytes += len(frame)
        if len(queue) >= QUEUED_FRAMES or self._queued_bytes >= QUEUED_BYTES:
            self._link.pause_reading()

    def end_input(self) -> None:
        """The peer asks nothing more: what it asked is answered, then the connection ends."""
        self.input_ended = True
        self.pump()

    @property
    def unheard(self) -> bool:
        """Whether something that was asked is still to be done."""
        return not self._ended and (self.queue is not None or self.busy)

    # What must wait

    def hold(self, request: Request) -> None:
        """Lets the request, and what comes behind it, wait until all sends are answered."""
        self.busy = True
        self.held = request

    def slow_down(self, request: Request, delay: float) -> None:
        """Lets the request wait so many seconds, the frames behind it, and the peer in its kernel."""
        self.busy = True
        self._link.pause_reading()
        self._delayed = self._clock.callLater(delay, self._delay_over, request)

    # What goes on

    def answered(self) -> None:
        """A send was answered, and something waits."""
        if self.held is None:
            self.pump()
        elif not self.unanswered:
            request, self.held = self.held, None
            self.go_on_with(request)

    def done(self) -> None:
        """What ran alone has ended."""
        self.busy = False
        self.pump()

    def drained(self) -> None:
        """The outbox has room again."""
        self.pump()
        if not self._outbox.congested:
            self._read_on()

    def end(self) -> None:
        """Nothing is handled any more."""
        self._ended = True
        self.queue = self.held = None
        self._handler = GONE
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None

    def pump(self) -> None:
        """Handles what waits, as far as it may be handled now."""
        if self._pumping:
            return
        if self.queue is not None:
            self._pump_queue(self.queue)
        if self.input_ended and self.queue is None and not (self.busy or self.unanswered):
            self._link.close(NORMAL, "")

    def _pump_queue(self, queue: deque[bytes | WireError]) -> None:
        self._pumping = True
        try:
            while queue and not self._ended and not self._blocked():
                frame = queue.popleft()
                if type(frame) is bytes:
                    self._queued_bytes -= len(frame)
                self._handler.handle(frame)
        finally:
            self._pumping = False
        if not queue:
            self.queue = None
            self._read_on()

    def _blocked(self) -> bool:
        return self.busy or self.unanswered >= MAX_UNANSWERED or self._outbox.congested

    def _delay_over(self, request: Request) -> None:
        self._delayed = None
        self.go_on_with(request)
        self._read_on()

    def go_on_with(self, request: Request) -> None:
        """Does what had to wait, then what waits behind it."""
        self.busy = False
        self._handler.handle_again(request)
        self.pump()

    def _read_on(self) -> None:
        if self.queue is None and self._delayed is None and not self._ended:
            self._link.resume_reading()
