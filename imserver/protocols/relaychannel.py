"""The file channel of document 004's dialect chat-app: one connection is one end of a relayed file.

The protocol cuts the first line and the frames behind it and joins them to a `Pipe`; what a sender's
channel brings goes out of the receiver's as it comes. A first line has `handshake_time`; then silence
ends a sender's channel that is read, and a receiver that takes nothing for `slow_after` its own, also of
the last bytes, which may be many and take long.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from imserver.model.errors import ImError
from imserver.model.file_relays import RelayRole
from imserver.protocols.connections import Admission, settle
from imserver.protocols.doors import Doors
from imserver.protocols.kernel import unconfirmed
from imserver.services.file_pipes import Pipe
from imserver.services.file_relays import Relays
from imserver.wire.base import WireError
from imserver.wire.relaychannel import FrameType, HelloBuffer, RelayFrames, failed, words_of


@implementer(IHalfCloseableProtocol, IPushProducer)
class RelayChannelProtocol(Protocol):
    """See the module; implements services.file_pipes.PipeEnd.

    Attributes:
        wheel_slot: the wheel's.
    """

    transport: Any
    log = Logger()
    wheel_slot = -1

    def __init__(self, doors: Doors, relays: Relays, admission: Admission) -> None:
        self._doors = doors
        self._relays = relays
        self._admission = admission
        self._hello = HelloBuffer()
        self._frames = RelayFrames()
        self._pipe: Pipe | None = None
        self._sends = False  # it is the sender's end
        self._held: list[bytes] = []  # came in while nothing may be read
        self._deaf = False  # nothing may be read
        self._full = False  # the peer takes no more
        self._moved = 0.0  # when bytes were last moved
        self._left = 0  # bytes that the receiver had not taken when that was last looked at
        self._producing = False  # registered with the transport
        self._last = False  # all was written, and is on its way
        self._lost = False  # the connection is gone, but not all that came from it was passed on
        self._closing = False

    def connectionMade(self) -> None:
        """See IProtocol."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._moved = now = self._doors.clock.seconds()
        self._doors.wheel.watch(self, now + self._doors.limits.handshake_time)

    # Bytes in

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self._closing:
            return
        self._moved = self._doors.wheel.now
        try:
            if self._pipe is None:
                found = self._hello.feed(data)
                if found is None:
                    return
                hello, data = found
                self._sends = hello.role is RelayRole.SENDER
                self._pipe = self._relays.join(hello.relay, hello.role, hello.user, self)
                self._joined()
            if self._deaf:
                self._held.append(data)
            else:
                self._feed(data)
        except (ImError, WireError) as error:
            self._refuse(error.text)
        except Exception:
            self.log.failure("a file channel failed")
            self._refuse("internal error")

    def _joined(self) -> None:
        self._admission.authenticated()
        settle(self.transport)
        doors = self._doors
        doors.wheel.watch(self, doors.clock.seconds() + doors.limits.check_interval)
        if not self._sends:
            self._producing = True
            self.transport.registerProducer(self, True)

    def _feed(self, data: bytes) -> None:
        pipe = self._pipe
        assert pipe is not None
        for piece in self._frames.feed(data):
            if piece.type is FrameType.FAILED:
                pipe.fail(words_of(piece) or "the other side gave it up")
            elif not self._sends:
                continue  # a receiver has nothing else to say
            elif piece.type is FrameType.DATA:
                pipe.data(piece.raw, piece.count, whole=not self._frames.inside)
            else:
                pipe.end(piece.raw)

    def _refuse(self, reason: str) -> None:
        """What the peer sent is wrong: it fails for both."""
        if self._pipe is not None:
            self._pipe.fail(reason)
        self.break_off(reason)

    # services.file_pipes.PipeEnd

    def pause(self) -> None:
        """See PipeEnd."""
        if not (self._deaf or self._closing):
            self._deaf = True
            if not self._lost:
                self.transport.pauseProducing()

    def resume(self) -> None:
        """See PipeEnd."""
        if self._deaf and not self._closing:
            self._deaf = False
            self._moved = self._doors.clock.seconds()
            if self._held:
                # Not here: the pipe is in the middle of something.
                self._doors.clock.callLater(0, self._release)
            else:
                self.transport.resumeProducing()

    def _release(self) -> None:
        held, self._held = self._held, []
        if held:
            self.dataReceived(b"".join(held))
        if self._lost and self._closing:
            self._pipe = None
        if self._deaf or self._closing:
            return
        if self._lost:
            self._closing = True
            self._gone()
            self._pipe = None
        else:
            self.transport.resumeProducing()

    def write(self, data: bytes) -> None:
        """See PipeEnd."""
        if not self._closing:
            self.transport.write(data)

    def finish(self) -> None:
        """See PipeEnd."""
        if not self._closing:
            limits = self._doors.limits
            self._last = not self._sends
            self._close(limits.check_interval if self._last else limits.closing_time)
            if self._last:
                # Much may still be on its way, and a slow one takes long for it.
                self._moved = self._doors.clock.seconds()
                self._left = unconfirmed(self.transport)
                self._doors.watch.add(self)

    def break_off(self, reason: str, *, between: bool = True) -> None:
        """See PipeEnd."""
        if not self._closing:
            if between:
                self.transport.write(failed(reason))
            self._close(self._doors.limits.closing_time)

    # The peer's reading

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        if not self._full:
            self._full = True
            self._moved = self._doors.clock.seconds()
        if self._pipe is not None:
            self._pipe.full(True)

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._full = False
        self._moved = self._doors.clock.seconds()
        if self._pipe is not None:
            self._pipe.full(False)

    def stopProducing(self) -> None:
        """See IPushProducer; the protocol hears of it on its own."""

    def kernel_drained(self) -> bool | None:
        """See kernel.Awaiting: whether the receiver has everything."""
        if not self._last or self._pipe is None:
            return None
        if unconfirmed(self.transport):
            return False
        self._pipe.arrived()
        return True

    # The end

    def _close(self, seconds: float) -> None:
        """Closes after what was written; the peer has so long to take it."""
        self._closing = True
        self._held.clear()
        if self._lost:
            return
        if self._producing:
            self._producing = False
            self.transport.unregisterProducer()
        self._doors.wheel.watch(self, self._doors.clock.seconds() + seconds)
        if self._deaf:
            # What still comes in is dropped; unread, it would reset the connection.
            self._deaf = False
            self.transport.resumeProducing()
        if isinstance(self.transport, FileDescriptor):
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def readConnectionLost(self) -> None:
        """See IHalfCloseableProtocol: the peer says nothing more."""
        if self._closing:
            self.transport.loseConnection()
        elif self._pipe is None:
            self._closing = True
            self.transport.loseConnection()
        elif self._sends:
            self._gone()
            self.break_off("the channel was closed before the end")
        # A receiver may well have nothing more to say.

    def writeConnectionLost(self) -> None:
        """See IHalfCloseableProtocol."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._doors.wheel.forget(self)
        self._admission.release()
        if self._held and not self._closing and reason.check(ConnectionDone):
            # TLS reads on to the end of what it has, also where it may not: that still counts.
            self._lost = True
            return
        self._closing = True
        self._held.clear()
        if self._last and self._pipe is not None and reason.check(ConnectionDone):
            # Whoever closes with something unread resets the connection instead.
            self._pipe.arrived()
        self._last = False
        self._gone()
        self._pipe = None  # the pipe holds its ends

    def _gone(self) -> None:
        if self._pipe is not None:
            self._pipe.gone(self)

    def check(self, now: float) -> float | None:
        """See liveness.Watched."""
        limits = self._doors.limits
        if self._closing:
            if self._last and self._takes(now):
                return now + limits.check_interval
            self._last = False
            self._gone()
            self.transport.abortConnection()
            return None
        if self._pipe is None:
            self.break_off("no first line came in time")
            return None
        if self._sends and not self._deaf and now - self._moved >= limits.silence:
            self._pipe.fail("the sender sends nothing")
        elif not self._sends and self._full and not self._takes(now):
            self._pipe.fail("the receiver takes nothing")
        return None if self._closing else now + limits.check_interval

    def _takes(self, now: float) -> bool:
        """Whether the receiver has taken anything within `slow_after`."""
        left = unconfirmed(self.transport)
        if left < self._left:
            self._moved = now
        self._left = left
        return now - self._moved < self._doors.limits.slow_after
