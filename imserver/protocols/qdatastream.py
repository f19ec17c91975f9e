"""QDataStream messages over TCP, with or without a length before each (document 000).

One port serves both kinds of peer. An unframed one takes what one read gives it
for one message, so it gets one message per write, and the next only when its
kernel has the one before.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from imserver.protocols.connections import Admission
from imserver.protocols.doors import Doors
from imserver.protocols.kernel import Pace
from imserver.protocols.link import Link
from imserver.wire.base import WireError
from imserver.wire.qdatastream import (
    PATIENCE,
    Framing,
    InputStream,
    NotAnOpening,
    QDataStreamServerCodec,
    add_length,
)

__all__ = ["QDataStreamFactory", "QDataStreamProtocol"]


@implementer(IHalfCloseableProtocol)
class QDataStreamProtocol(Protocol):
    """Cuts messages and keeps the time the unframed parser asks for."""

    log = Logger()

    _link: Link
    _timer: IDelayedCall | None = None
    _was_paused = False  # when the timer was last over

    def __init__(
        self, doors: Doors, codec: QDataStreamServerCodec, admission: Admission, stream: InputStream
    ) -> None:
        self._doors = doors
        self._codec = codec
        self._admission = admission
        self._input = stream

    def connectionMade(self) -> None:
        """See IProtocol."""
        transport = self.transport
        assert transport is not None
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        self._link = self._doors.open(self, transport, self._codec, self._admission)
        if self._input.framing is not None:
            self._framing_known(self._input.framing)

    def _framing_known(self, framing: Framing) -> None:
        self._codec.framing = framing
        if framing is Framing.NONE:
            outbox = self._link.outbox
            outbox.pace = Pace(self.transport, outbox.flush, self._doors.pacer, self._doors.watch)
            self._codec.on_call = self._call_runs

    def _call_runs(self, call: str, runs: bool) -> None:
        parser = self._input.unframed
        assert parser is not None
        if runs:
            parser.call_begins(call)
        else:
            parser.call_ends(call, self._doors.clock.seconds())

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self._link.alive():
            self._take(self._input.feed(data, self._doors.clock.seconds()))

    def _take(self, frames: list[bytes | WireError]) -> None:
        if self._codec.framing is None and self._input.framing is not None:
            self._framing_known(self._input.framing)
        for frame in frames:
            if isinstance(frame, NotAnOpening):
                self._not_an_opening(frame.text)
                break
            self._link.received(frame)
        self._keep_time()

    def _not_an_opening(self, reason: str) -> None:
        self.log.info(
            "qdatastream: a connection from {address} is closed: {reason}",
            address=self._admission.address,
            reason=reason,
        )
        self._link.finish()

    def _keep_time(self) -> None:
        deadline = None if self._link.closing else self._input.deadline
        self._stop_timer()
        self._was_paused = False
        if deadline is not None:
            clock = self._doors.clock
            self._timer = clock.callLater(max(0.0, deadline - clock.seconds()), self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _time_out(self) -> None:
        """It is time to settle, unless the rest may be there and was not read until a moment ago."""
        paused = self._link.paused
        if paused or self._was_paused:
            self._was_paused = paused
            self._timer = self._doors.clock.callLater(PATIENCE, self._time_out)
        else:
            self._settle()

    def _settle(self) -> None:
        self._stop_timer()
        if not self._link.closing:
            # Up to the deadline itself: a clock's sum may fall short of it by a rounding.
            now = max(self._doors.clock.seconds(), self._input.deadline or 0.0)
            self._take(self._input.settle(now))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._stop_timer()
        self._codec.on_call = None  # which is this protocol's: see `gone`
        self._link.lost()

    def readConnectionLost(self) -> None:
        """See IHalfCloseableProtocol: the peer said its last message, perhaps a while ago."""
        if self._input.framing is None:
            self._link.finish()
            return
        if self._input.deadline is not None:
            self._settle()
        self._link.input_ended()

    def writeConnectionLost(self) -> None:
        """See IHalfCloseableProtocol: the goodbye is out; the peer closes, or is aborted."""

    # link.FrameProtocol

    def frame(self, payload: bytes) -> bytes:
        """See FrameProtocol."""
        return add_length(payload) if self._codec.framing is Framing.INT16 else payload

    @staticmethod
    def ping() -> bytes:
        """See FrameProtocol: TCP keep-alive is all there is."""
        return b""

    def goodbye(self, code: int, text: str) -> None:
        """See FrameProtocol: the format says goodbye itself."""
        if self._input.framing is None:
            self._not_an_opening("fewer than four bytes came")


class QDataStreamFactory(ServerFactory):
    """Builds the protocol, each with a codec and an input stream of its own."""

    noisy = False

    def __init__(
        self,
        doors: Doors,
        codec: Callable[[], QDataStreamServerCodec],
        framing: Framing | None = None,
        *,
        token_required: bool = False,
    ) -> None:
        """Args:
        codec: makes the codec of one connection.
        framing: the only one spoken here; None = each connection's first bytes tell.
        token_required: see InputStream.
        """
        self._doors = doors
        self._codec = codec
        self._framing = framing
        self._token_required = token_required

    def buildProtocol(self, addr: IAddress | None) -> QDataStreamProtocol | None:
        """See IProtocolFactory; None (the connection is closed) where there is no room."""
        admission = self._doors.admit(addr)
        if admission is None:
            return None
        stream = InputStream(self._framing, token_required=self._token_required)
        protocol = QDataStreamProtocol(self._doors, self._codec(), admission, stream)
        protocol.factory = self
        return protocol
