"""WebSockets (RFC 6455) for every format that is spoken over them; the factory hands in the codec.

Autobahn shakes hands and reads frames. What is written are ready-made frames
(a server's carry no mask) that go to the outbox, Autobahn's own pongs and close
frames among them, so that everything keeps its order and is counted.

Deadlines are the wheel's; Autobahn's own timers, which know the global reactor
only, are off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.util import encode_truncate
from autobahn.websocket import USES_NVX
from autobahn.websocket.protocol import WebSocketProtocol as _States
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.model.accounts import LoggedIn, LogIn
from imserver.model.errors import ErrorCode, ImError, alone
from imserver.protocols.connections import Admission
from imserver.protocols.doors import Doors
from imserver.protocols.frames import (
    BINARY,
    COMPRESSED,
    TEXT,
    take_messages,
    whole_binary,
    whole_frame,
    whole_text,
)
from imserver.protocols.handshake import http_refusal, http_status, upgrade_of
from imserver.protocols.link import Link
from imserver.protocols.session import Session
from imserver.protocols.websocket_bounds import WebSocketBounds
from imserver.protocols.websocket_options import COMPRESSED_FROM, accept_compression
from imserver.wire.base import Negotiated, ServerCodec, Upgrade, WireError

UNSUPPORTED_DATA = 1003

Negotiate = Callable[[Upgrade], Negotiated]

# What the handshake leaves on the instance and nobody reads again.
_HANDSHAKE_LEFTOVERS = (
    "http_headers",
    "http_request_data",
    "http_request_params",
    "http_request_uri",
    "http_response_data",
    "http_status_line",
    "websocket_protocols",
)


class WebSocketProtocol(WebSocketBounds):
    """One WebSocket connection."""

    _failures = Logger()

    transport: Any
    current_frame: Any
    perMessageCompressionAccept: Any
    _perMessageCompress: Any
    inside_message: bool
    factory: Any
    _link: Link | None = None
    _refusal: ImError | None = None
    _logged_in: tuple[LogIn, LoggedIn] | None = None

    def __init__(self, doors: Doors, codec: ServerCodec, admission: Admission, binary: bool) -> None:
        """Args:
        binary: whether the format's messages are binary ones (else text).
        """
        super().__init__()
        self._doors = doors
        self._admission = admission
        self._use(codec, binary)

    def _use(self, codec: ServerCodec, binary: bool) -> None:
        self._codec: ServerCodec | None = codec
        self._binary = binary
        self._first_byte = BINARY if binary else TEXT
        self._skips_oversize = codec.traits.skips_oversize
        self.maxFramePayloadSize = self.maxMessagePayloadSize = codec.traits.max_frame

    # The connection

    def connectionMade(self) -> None:
        """See IProtocol."""
        self.peer = self._admission.address
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._connectionMade()

    def onConnect(self, request: Any) -> Any:
        """The upgrade is well-formed; fires with the subprotocol to select, or with ConnectionDeny."""
        negotiate: Negotiate | None = self.factory.negotiate
        if negotiate is None:
            return None
        return Deferred.fromCoroutine(self._negotiate(negotiate, upgrade_of(request)))

    async def _negotiate(self, negotiate: Negotiate, upgrade: Upgrade) -> str | None:
        try:
            agreed = negotiate(upgrade)
            self._use(agreed.codec, agreed.binary)
            if agreed.log_in is not None:
                # What waits for the log-in is counted and watched like everything else.
                session = self._open().session
                assert isinstance(session, Session)
                self._logged_in = agreed.log_in, await session.log_in(agreed.log_in)
        except ImError as error:
            self._refusal = alone(error)
            raise ConnectionDeny(http_status(error), error.text) from None
        except Exception:
            self._failures.failure("a WebSocket handshake failed")
            raise ConnectionDeny(500, "internal error") from None
        return agreed.subprotocol

    def _open(self) -> Link:
        # The HTTP channel that was here before is still registered.
        self.transport.unregisterProducer()
        assert self._codec is not None
        codec, self._codec = self._codec, None
        self._link = link = self._doors.open(self, self.transport, codec, self._admission)
        return link

    def _onOpen(self) -> None:
        self.onOpen()

    def onOpen(self) -> None:
        """The handshake is done: the session begins."""
        for name in _HANDSHAKE_LEFTOVERS:
            self.__dict__.pop(name, None)
        if self._logged_in is None:
            self._open()
            return
        (command, reply), self._logged_in = self._logged_in, None
        assert self._link is not None
        session = self._link.session
        assert isinstance(session, Session)
        self._link.resume_reading()
        session.begin(command, reply)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.state = _States.STATE_CLOSED
        if self._link is not None:
            self._link.lost()
        self._admission.release()
        self._connectionLost(reason)  # type: ignore[arg-type]  # it only looks at its value
        self.__dict__.pop("is_closed", None)  # fires with this protocol: see `gone`

    def onClose(self, wasClean: bool, code: Any, reason: Any) -> None:
        """See Autobahn; the link knows."""

    # Reading

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        link = self._link
        if link is None:
            self._dataReceived(data)
            return
        if not link.alive():
            return
        if self.data:
            data = self.data + data
        if self.state == _States.STATE_CONNECTING:  # the log-in is under way
            self.data = data
            if len(data) > self.maxMessagePayloadSize:
                link.pause_reading()
            return
        if self.current_frame is None and not self.inside_message:
            self.data = b""
            if not link.closing:
                received = link.session.turns.received  # what `Link.received` comes to
                data = take_messages(link, received, data, self._first_byte, self.maxMessagePayloadSize)
        self.data = data
        if data:
            self.consumeData()
        if link.outbox.congested:
            link.pause_reading()

    def messageSkipped(self, limit: int) -> None:
        """See WebSocketBounds."""
        if self._link is not None:
            self._link.received(WireError(ErrorCode.TOO_LARGE, f"a message is longer than {limit} bytes"))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """See Autobahn."""
        if isBinary != self._binary:
            kind = "binary" if self._binary else "text"
            self._fail_connection(UNSUPPORTED_DATA, f"only {kind} messages are understood here")
        elif self._link is not None:
            self._link.received(payload)

    # Writing and closing

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """What Autobahn itself writes: the handshake, pongs, close frames."""
        if self._link is None:
            self.transport.write(data)
        else:
            self._link.outbox.put(data)

    def _fail_connection(self, code: int = 1001, reason: str = "going away") -> None:
        self.failedByMe = True
        if self._link is not None:
            self._link.close(code, reason)

    def dropConnection(self, abort: bool = False) -> None:
        """Ends it after what is queued; the wheel sees to peers that do not take it."""
        if self._link is None:
            super().dropConnection(abort=False)
        else:
            self.state = _States.STATE_CLOSED
            self._link.finish()

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """A refused handshake: a JSON body; nothing of the request is repeated in the head."""
        self.sendData(http_refusal(code, reason, responseHeaders or (), self._refusal))

    # link.FrameProtocol

    @property
    def frame(self) -> Callable[[bytes], bytes]:
        """See FrameProtocol. Asked once for a connection, so that most are framed without this class."""
        if self.state == _States.STATE_OPEN and self._perMessageCompress is None:
            return whole_binary if self._binary else whole_text
        return self._framed  # it is not decided yet

    def _framed(self, payload: bytes) -> bytes:
        packer = self._perMessageCompress
        if packer is None or len(payload) < COMPRESSED_FROM:
            return whole_frame(self._first_byte, payload)
        # Each message by itself, so that later ones can be read whatever becomes of this one.
        packer.start_compress_message()
        packed = packer.compress_message_data(payload) + packer.end_compress_message()
        return whole_frame(self._first_byte | COMPRESSED, packed)

    def ping(self) -> bytes:
        """See FrameProtocol."""
        return b"\x89\x00" if self.state == _States.STATE_OPEN else b""

    def goodbye(self, code: int, text: str) -> None:
        """See FrameProtocol: the close frame."""
        if self.state == _States.STATE_OPEN:
            self.sendCloseFrame(code, encode_truncate(text, 123) if text else None)


class WebSocketFactory(WebSocketServerFactory):
    """Builds the protocol, each with a codec of its own."""

    log: Any = Logger()
    noisy = False

    def __init__(
        self,
        doors: Doors,
        codec: Callable[[], ServerCodec],
        binary: bool,
        negotiate: Negotiate | None = None,
        *,
        compression: bool = False,
    ) -> None:
        """Args:
        codec: makes the codec of one connection.
        binary: whether the format's messages are binary ones (else text).
        negotiate: for formats to which the handshake says something; what it gives takes
            the place of the other two.
        compression: permessage-deflate for clients that offer it.
        """
        super().__init__(reactor=doors.clock, server="")  # type: ignore[no-untyped-call]
        self.doors = doors
        self._codec = codec
        self._binary = binary
        self.negotiate = negotiate
        self._compression = compression
        if not USES_NVX:
            self.log.warn(
                "Autobahn runs without its C part (NVX): WebSockets cost several times the CPU. "
                "Install the autobahn wheel and do not set AUTOBAHN_USE_NVX=0."
            )

    def build(self, admission: Admission) -> WebSocketProtocol:
        """The protocol of a connection that was admitted already."""
        protocol = WebSocketProtocol(self.doors, self._codec(), admission, self._binary)
        protocol.factory = self
        if self._compression:
            protocol.perMessageCompressionAccept = accept_compression
        return protocol

    def buildProtocol(self, addr: IAddress | None) -> WebSocketProtocol | None:
        """See IProtocolFactory; None (the connection is closed) where there is no room."""
        admission = self.doors.admit(addr)
        return None if admission is None else self.build(admission)
