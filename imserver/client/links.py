"""Connections that carry whole frames: lines and length frames over TCP (WebSockets: `websocket`)."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint, ITCPTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure

from imserver.model.errors import ErrorCode, ImError
from imserver.wire.jsonline.framing import LineBuffer
from imserver.wire.qdatastream import FrameCutter, add_length

MAX_FRAME = 4 * 1024 * 1024
"""Bytes of the longest frame that is taken from a server."""


class Receiver(Protocol):
    """Who gets the frames of a connection."""

    def received(self, frame: bytes) -> None:
        """A whole frame."""

    def lost(self, reason: str) -> None:
        """The connection is gone; told once, and nothing comes after it."""


class Link(Protocol):
    """A connection, as seen by who speaks over it."""

    def send(self, frame: bytes) -> None:
        """Writes a frame, drops one that is late. Raises ValueError if it is too long for the framing."""

    def pause(self) -> None:
        """Stop reading. May be called again."""

    def resume(self) -> None:
        """Go on reading. May be called again."""

    def close(self) -> None:
        """Close after everything that was written."""

    def abort(self) -> None:
        """Close at once."""


class _StreamFactory(Factory):
    noisy = False

    def __init__(self, kind: type[StreamLink], receiver: Receiver) -> None:
        self._kind = kind
        self._receiver = receiver

    def buildProtocol(self, addr: Any) -> StreamLink:
        """See IProtocolFactory."""
        return self._kind(self._receiver)


class StreamLink(TwistedProtocol):
    """A TCP (or TLS, or unix) connection; subclasses cut and join frames."""

    transport: Any

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def connectionMade(self) -> None:
        """See IProtocol."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._receiver.lost(reason_of(reason.value))

    def send(self, frame: bytes) -> None:
        """See Link."""
        self.transport.write(frame)

    def pause(self) -> None:
        """See Link."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        """See Link."""
        self.transport.resumeProducing()

    def close(self) -> None:
        """See Link."""
        # A paused transport would never learn that the server has closed, too.
        self.transport.resumeProducing()
        self.transport.loseConnection()

    def abort(self) -> None:
        """See Link."""
        self.transport.abortConnection()


class LineLink(StreamLink):
    """A frame is a line."""

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(receiver)
        self._buffer = LineBuffer(MAX_FRAME)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        for line in self._buffer.feed(data):
            if line is None:
                self.abort()
                return
            self._receiver.received(line)

    def send(self, frame: bytes) -> None:
        """See Link."""
        super().send(frame if frame.endswith(b"\n") else frame + b"\n")


class Int16Link(StreamLink):
    """A frame comes after its length, u16 big-endian."""

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(receiver)
        self._cutter = FrameCutter(opening=False)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        for frame in self._cutter.feed(data):
            assert isinstance(frame, bytes)  # the client's cutter refuses nothing
            self._receiver.received(frame)

    def send(self, frame: bytes) -> None:
        """See Link."""
        super().send(add_length(frame))


def endpoint_of(reactor: Any, address: str) -> IStreamClientEndpoint:
    """A Twisted client endpoint string: tcp:host=…:port=…, tls:…, unix:….

    Raises:
        ImError: BAD_REQUEST if it is none.
    """
    try:
        endpoint: IStreamClientEndpoint = clientFromString(reactor, address)
    except Exception as error:
        # Endpoint parsers come with plugins and raise what they like.
        raise ImError(ErrorCode.BAD_REQUEST, f"{address!r} is no client endpoint: {error}") from None
    return endpoint


async def dial_stream(endpoint: IStreamClientEndpoint, kind: type[StreamLink], receiver: Receiver) -> Link:
    """Connects.

    Raises:
        ImError: UNAVAILABLE if nobody answers there.
    """
    try:
        link: Any = await endpoint.connect(_StreamFactory(kind, receiver))
    except Exception as error:
        raise ImError(ErrorCode.UNAVAILABLE, reason_of(error)) from None
    opened: Link = link
    return opened


def reason_of(error: BaseException | None) -> str:
    """What Twisted says about a connection, in one line."""
    return " ".join(str(error or "").split()) or type(error).__name__
