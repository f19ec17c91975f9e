"""The control socket: what an operator at the machine asks of the running server (`wire.control`).

A unix socket of mode 0600. Whoever connects must be root or of the server's own
user; everybody else is hung up on.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from imserver import __version__
from imserver.model.errors import ErrorCode, ImError
from imserver.wire import control

CONNECTIONS = 32
IDLE_SECONDS = 60.0

_CREDENTIALS = struct.Struct("3i")


def peer_uid(transport: Any) -> int:
    """The user at the other end of a unix socket, as the kernel knows it."""
    raw = transport.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return int(uid)


class ControlProtocol(LineReceiver):
    """One operator.

    Requests are done one after the other. While one is done, and while the peer
    does not read its answers, nothing is read.
    """

    delimiter = b"\n"
    MAX_LENGTH = control.MAX_LINE
    transport: Any
    log = Logger()

    def __init__(self, factory: ControlFactory) -> None:
        self._control = factory
        self._connected = False
        self._busy = False
        self._deaf = False
        self._idle: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """See IProtocol."""
        factory, transport = self._control, self.transport
        try:
            allowed = factory.uid_of(transport) in (0, os.geteuid())
        except OSError:
            allowed = False
        if not allowed or len(factory.connections) >= CONNECTIONS:
            self.log.warn("control: a connection was refused")
            transport.abortConnection()
            return
        self._connected = True
        factory.connections.add(self)
        transport.registerProducer(self, True)
        self._wait()

    def _wait(self) -> None:
        self._idle = self._control.clock.callLater(IDLE_SECONDS, self.hang_up)

    def _stop_waiting(self) -> None:
        if self._idle is not None:
            if self._idle.active():
                self._idle.cancel()
            self._idle = None

    def hang_up(self) -> None:
        """Ends the connection."""
        self.transport.abortConnection()

    def lineReceived(self, line: bytes) -> None:
        """See LineReceiver."""
        if not self._connected:
            return
        try:
            id, command = control.decode_request(line)
        except control.ControlError as error:
            self._answer(control.encode_refusal(error.id, ImError(ErrorCode.BAD_REQUEST, error.text)))
            return
        self._stop_waiting()
        self._busy = True
        self._read_on()
        running = ensureDeferred(self._perform(id, command))
        running.addErrback(lambda failure: self.log.failure("control: no answer", failure))

    async def _perform(self, id: int, command: Any) -> None:
        try:
            if isinstance(command, control.Describe):
                reply: Any = control.ServerInfo(__version__, os.getpid())
            else:
                self.log.info("control: {command}", command=type(command).__name__)
                reply = await self._control.operate(command)
            answer = control.encode_reply(id, reply)
        except ImError as error:
            answer = control.encode_refusal(id, error)
        except Exception:
            self.log.failure("control: {command} failed", command=type(command).__name__)
            answer = control.encode_refusal(id, ImError(ErrorCode.INTERNAL, "the server failed; see its log"))
        self._answer(answer)
        self._busy = False
        if self._connected:
            self._wait()
            self._read_on()

    def pauseProducing(self) -> None:
        """See IPushProducer: the answers pile up."""
        self._deaf = True
        self._read_on()

    def resumeProducing(self) -> None:
        """See IPushProducer: they were read."""
        self._deaf = False
        self._read_on()

    def stopProducing(self) -> None:
        """See IPushProducer."""

    def _read_on(self) -> None:
        """Reads, or not, as things are now."""
        wanted = not self._busy and not self._deaf
        if wanted and self.paused:
            super().resumeProducing()  # type: ignore[no-untyped-call]
        elif not wanted and not self.paused:
            super().pauseProducing()  # type: ignore[no-untyped-call]

    def _answer(self, answer: bytes) -> None:
        if self._connected:
            self.sendLine(answer)  # type: ignore[no-untyped-call]

    def lineLengthExceeded(self, line: bytes) -> None:
        """See LineReceiver."""
        self.hang_up()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._connected = False
        self._stop_waiting()
        self._control.connections.discard(self)


class ControlFactory(ServerFactory):
    """Builds the protocol.

    Args:
        operate: runs a command of `model.admin` or `model.group_admin` (`Administration.operate`).
        clock: for idle connections.
        uid_of: the user behind a transport.

    Attributes:
        connections: those that are open.
    """

    noisy = False

    def __init__(
        self,
        operate: Callable[[Any], Awaitable[Any]],
        clock: IReactorTime,
        uid_of: Callable[[Any], int] = peer_uid,
    ) -> None:
        self.operate = operate
        self.clock = clock
        self.uid_of = uid_of
        self.connections: set[ControlProtocol] = set()

    def buildProtocol(self, addr: IAddress | None) -> ControlProtocol:
        """See IProtocolFactory."""
        protocol = ControlProtocol(self)
        protocol.factory = self
        return protocol

    def hang_up(self) -> None:
        """Ends every connection."""
        for protocol in list(self.connections):
            protocol.hang_up()
