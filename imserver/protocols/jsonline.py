"""Frames that end with a line feed, over TCP (document 004, 1.1).

A line may come in any pieces and many lines in one; an empty line is nothing. A
line that is too long is answered once and skipped to its end, the connection
stays. A peer that closes its sending side only (`printf … | nc -q 3`) is sent the
answers it waits for before the connection ends; a line without an end is nothing. A
first line that is the start of an HTTP request closes it: a browser was led here by
a foreign page.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from imserver.model.errors import ErrorCode
from imserver.protocols.connections import Admission
from imserver.protocols.doors import Doors, host_of
from imserver.protocols.frames import take_lines, whole_line
from imserver.protocols.link import Link
from imserver.wire.base import ServerCodec, WireError

__all__ = ["JsonLineFactory", "JsonLineProtocol"]

_HTTP_METHODS = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"PRI ",
)


@implementer(IHalfCloseableProtocol)
class JsonLineProtocol(Protocol):
    """Cuts lines."""

    _link: Link
    _pieces: list[bytes] | None = None  # of a line whose end has not come yet
    _length = 0  # their bytes
    _skipping = False  # the line was too long and its end has not come yet
    _first = True

    def __init__(self, doors: Doors, codec: ServerCodec, admission: Admission) -> None:
        self._doors = doors
        self._codec = codec
        self._admission = admission
        self._max_line = codec.traits.max_frame

    def connectionMade(self) -> None:
        """See IProtocol."""
        transport = self.transport
        assert transport is not None
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)
        located = getattr(self._codec, "located", None)
        if located is not None:
            located(host_of(transport.getHost()), ISSLTransport.providedBy(transport))
        self._link = self._doors.open(self, transport, self._codec, self._admission)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if not self._link.alive():
            return
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and (self._pieces is not None or self._skipping):
            self._end_piece(lines.pop(0))
        link = self._link
        received = link.session.turns.received  # what nearly all lines come to in `_line` and `Link.received`
        if self._first and lines:
            self._line(lines.pop(0))
        take_lines(link, received, self._line, lines, self._max_line)
        if rest:
            self._begin_piece(rest)

    def _begin_piece(self, piece: bytes) -> None:
        if self._skipping:
            return
        if self._pieces is None:
            self._pieces = []
        self._pieces.append(piece)
        self._length += len(piece)
        if self._length > self._max_line:
            line = b"".join(self._pieces)
            self._forget_pieces()
            self._skipping = True
            self._line(line)

    def _end_piece(self, piece: bytes) -> None:
        if self._skipping:
            self._skipping = False
            return
        assert self._pieces is not None
        self._pieces.append(piece)
        line = b"".join(self._pieces)
        self._forget_pieces()
        self._line(line)

    def _forget_pieces(self) -> None:
        self._pieces = None
        self._length = 0

    def _line(self, line: bytes) -> None:
        if self._first:
            self._first = False
            if line.startswith(_HTTP_METHODS):
                self._link.finish()
                return
        if line.endswith(b"\r"):
            line = line[:-1]
        if len(line) > self._max_line:
            self._link.received(
                WireError(ErrorCode.TOO_LARGE, f"a line is longer than {self._max_line} bytes")
            )
        elif line and not line.isspace():
            self._link.received(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._forget_pieces()
        self._link.lost()

    def readConnectionLost(self) -> None:
        """See IHalfCloseableProtocol: the peer said its last line."""
        self._forget_pieces()
        self._link.input_ended()

    def writeConnectionLost(self) -> None:
        """See IHalfCloseableProtocol: the goodbye is out; the peer closes, or is aborted."""

    # link.FrameProtocol

    frame = staticmethod(whole_line)

    @staticmethod
    def ping() -> bytes:
        """See FrameProtocol: TCP keep-alive is all there is."""
        return b""

    def goodbye(self, code: int, text: str) -> None:
        """See FrameProtocol: the format says goodbye itself."""


class JsonLineFactory(ServerFactory):
    """Builds the protocol, each with a codec of its own."""

    noisy = False

    def __init__(self, doors: Doors, codec: Callable[[], ServerCodec]) -> None:
        """Args:
        codec: makes the codec of one connection.
        """
        self._doors = doors
        self._codec = codec

    def buildProtocol(self, addr: IAddress | None) -> JsonLineProtocol | None:
        """See IProtocolFactory; None (the connection is closed) where there is no room."""
        admission = self._doors.admit(addr)
        if admission is None:
            return None
        protocol = JsonLineProtocol(self._doors, self._codec(), admission)
        protocol.factory = self
        return protocol
