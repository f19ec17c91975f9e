"""One connection: its protocol, outbox and session, and what happens to it as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IReactorTime
from twisted.internet.tcp import Server

from imserver.model.accounts import SessionKicked
from imserver.protocols.connections import Admission, DoorLimits, settle
from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.gone import GONE
from imserver.protocols.kernel import DrainWatch
from imserver.protocols.liveness import Wheel
from imserver.protocols.outbox import Outbox
from imserver.wire.base import ServerCodec, WireError


class FrameProtocol(Protocol):
    """The transport framing of one door."""

    @property
    def frame(self) -> Callable[[bytes], bytes]:
        """Makes a codec's frame one that goes over the transport."""

    def ping(self) -> bytes:
        """What proves that the link works without the format's knowledge; b"" if there is nothing such."""

    def goodbye(self, code: int, text: str) -> None:
        """Queues what the framing says at the end (a WebSocket close frame)."""


class Intake(Protocol):
    """Where a connection's frames go."""

    @property
    def unheard(self) -> bool:
        """Whether something that was asked is still to be done."""

    def received(self, frame: bytes | WireError) -> None:
        """Takes the next frame, or what the framing has to say instead of one."""

    def end_input(self) -> None:
        """The peer asks nothing more: what it asked is answered, then the connection ends."""


class LinkSession(Protocol):
    """What a connection's session is to it: a chat session, or one in a meeting room."""

    @property
    def turns(self) -> Intake:
        """Where frames go."""

    def start(self, address: str, secure: bool) -> None:
        """The connection is ready."""

    def deadline(self, now: float) -> float:
        """When the peer must have logged in, or joined; inf = it has."""

    def drained(self) -> None:
        """There is room in the outbox again."""

    def delivered(self) -> None:
        """The peer's kernel has all that was written."""

    def passed(self, seq: int) -> None:
        """The peer's kernel has everything up to a message."""

    def kicked(self, event: SessionKicked) -> None:
        """Says goodbye and ends."""

    def slow(self) -> None:
        """The peer does not read."""

    def silent(self) -> None:
        """The peer has not been heard for too long."""

    def too_late(self) -> None:
        """The deadline is over."""

    def ended(self) -> None:
        """The connection is gone, or will be."""


class LinkDoors(Protocol):
    """What a connection needs of what all of them share; see doors.Doors."""

    clock: IReactorTime
    limits: DoorLimits
    wheel: Wheel
    flusher: Flusher
    budget: Budget
    watch: DrainWatch

    def new_session(self, codec: ServerCodec, link: Link) -> LinkSession:
        """The session that the format's traits ask for."""

    def gone(self, link: Link) -> None:
        """The connection is gone."""


class Link:
    """One connection, from the moment it can carry frames.

    Attributes:
        last_received: wheel time of the last received byte.
        closing: the goodbye is queued; the protocol discards what it still receives.
        frame: the protocol's own, which makes of a codec's frame what goes over the transport.
        wheel_slot: the wheel's.
    """

    __slots__ = (
        "_abort_at",
        "_admission",
        "_doors",
        "_input_ended",
        "_lost",
        "_next_ping",
        "_paused",
        "_protocol",
        "_transport",
        "_write_closed",
        "closing",
        "frame",
        "last_received",
        "outbox",
        "session",
        "wheel_slot",
    )

    def __init__(
        self,
        doors: LinkDoors,
        protocol: FrameProtocol,
        transport: Any,
        codec: ServerCodec,
        admission: Admission,
    ) -> None:
        """See Doors.open."""
        self._doors = doors
        self._protocol = protocol
        self.frame = protocol.frame
        self._transport = transport
        if isinstance(transport, Server):
            transport.repstr = transport.logstr  # one text for a connection is enough
        self._admission = admission
        self.outbox = Outbox(
            transport,
            self,
            doors.flusher,
            doors.budget,
            doors.limits.outbox_bytes,
            doors.watch,
            confirm_messages=not codec.traits.acks,
            media_limit=doors.limits.media_bytes,
        )
        self.session: LinkSession = doors.new_session(codec, self)
        self.closing = False
        self._lost = False
        self._input_ended = False  # the peer closed its sending side
        self._write_closed = False  # and this server its own
        self._paused = False
        self.wheel_slot = -1
        self._abort_at = math.inf
        now = doors.clock.seconds()
        self.last_received = now
        self._next_ping = now + doors.limits.ping_interval

    def start(self, secure: bool) -> None:
        """Takes its place: producer of the transport, session of its peer, entry of the wheel."""
        self.outbox.start()
        self.session.start(self._admission.address, secure)
        now = self._doors.clock.seconds()
        self._doors.wheel.watch(self, min(now + self._interval, self.session.deadline(now)))

    @property
    def _interval(self) -> float:
        return self._doors.limits.check_interval

    # The protocol's side

    def received(self, frame: bytes | WireError) -> None:
        """A whole frame came in, or one that the framing itself had to refuse."""
        if not self.closing:
            self.session.turns.received(frame)

    def alive(self) -> bool:
        """Bytes came in; False: nothing the peer says matters any more."""
        self.last_received = self._doors.wheel.now
        return not self.closing

    def input_ended(self) -> None:
        """The peer sends nothing more, but may still read its answers."""
        self._input_ended = True
        # Whoever closes with something unread resets instead: what its kernel has by now, it has read.
        # The watch would ask too late, and formats without message ids cannot tell repeats.
        self.outbox.kernel_drained()
        if self._write_closed:
            self._transport.loseConnection()
        elif not self.closing:
            self.session.turns.end_input()

    def lost(self) -> None:
        """The connection is gone."""
        if not self._lost:
            self._lost = True
            self.closing = True
            self._doors.wheel.forget(self)
            self.outbox.lost()
            # A peer that closed and is still heard out resets what is written to it.
            unheard = self._input_ended and self.session.turns.unheard
            if not unheard:
                self.session.ended()
            self._admission.release()
            self._doors.gone(self)
            if not unheard:
                self._let_go()

    def _let_go(self) -> None:
        """See `gone`. What has the session or the protocol may still call here."""
        self.session = self._protocol = GONE
        self.frame = _no_frame

    # The session's side

    def authenticated(self) -> None:
        """Somebody logged in here."""
        self._admission.authenticated()
        settle(self._transport)

    @property
    def paused(self) -> bool:
        """Whether the peer's requests wait in the kernel."""
        return self._paused

    def pause_reading(self) -> None:
        """Lets the peer's requests wait in the kernel. May be called again."""
        if not self._paused and not self.closing:
            self._paused = True
            self._transport.pauseProducing()

    def resume_reading(self) -> None:
        """Goes on reading. May be called again."""
        if self._paused:
            self._paused = False
            self.last_received = self._doors.wheel.now
            if not (self._lost or self._input_ended):
                self._transport.resumeProducing()

    def close(self, code: int, text: str) -> None:
        """Says goodbye after everything that is queued, then closes.

        Args:
            code: WebSocket close code, for the framings that have one.
            text: one sentence, likewise.
        """
        if not self.closing:
            self._protocol.goodbye(code, text)
            self.finish()
        elif self._lost:
            self.session.ended()
            self._let_go()

    def finish(self) -> None:
        """Closes after everything that is queued; the peer has `closing_time` seconds to take it."""
        if not self.closing:
            self.closing = True
            self.session.ended()
            self.resume_reading()
            self._abort_at = self._doors.clock.seconds() + self._doors.limits.closing_time
            self._doors.wheel.watch(self, self._abort_at)
            self.outbox.finish()

    # The outbox's side (outbox.OutboxOwner)

    def outbox_drained(self) -> None:
        """See OutboxOwner."""
        if not self.closing:
            self.session.drained()

    def outbox_delivered(self) -> None:
        """See OutboxOwner."""
        if not self.closing:
            self.session.delivered()

    def outbox_passed(self, seq: int) -> None:
        """See OutboxOwner."""
        if not self.closing:
            self.session.passed(seq)

    def outbox_overflown(self) -> None:
        """See OutboxOwner."""
        if not self.closing:
            self.session.slow()

    def outbox_finished(self) -> None:
        """See OutboxOwner."""
        if self._lost:
            return
        if isinstance(self._transport, FileDescriptor) and not self._input_ended:
            # Closing outright while requests of the peer are still coming in
            # would reset the connection, and the goodbye could be lost with it.
            self._write_closed = True
            self._transport.loseWriteConnection()
        else:
            self._transport.loseConnection()

    # The wheel's side (liveness.Watched)

    def check(self, now: float) -> float | None:
        """See Watched."""
        if self._lost:
            return None
        if self.closing:
            if now < self._abort_at:
                return self._abort_at
            self._transport.abortConnection()
            return None
        limits = self._doors.limits
        if self.outbox.stuck(now, limits.slow_after):
            self.session.slow()
        elif not self._paused and now - self.last_received >= limits.silence:
            self.session.silent()
        elif now >= self.session.deadline(now):
            self.session.too_late()
        if self.wheel_slot != -1 or self._lost:
            return None  # it is closing: the wheel has its new time already
        if now >= self._next_ping:
            self._next_ping = now + limits.ping_interval
            ping = self._protocol.ping()
            # Where bytes wait already, they do what a ping would.
            if ping and not self.outbox.total:
                self.outbox.put(ping)
        return min(now + limits.check_interval, self.session.deadline(now))


def _no_frame(payload: bytes) -> bytes:
    return payload
