"""A reactor of sorts: moves bytes between real sockets and protocols until a test has what it waits for.

Time is a `Clock` the test turns; sockets are real. So tests of the Redis backend are
SynchronousTestCases like those of the embedded one, and run the same suites.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

PATIENCE = 60.0
"""Seconds a test waits for what must happen; only a broken machine takes so long."""


class Wire:
    """A transport over a real, non-blocking socket."""

    def __init__(self, pump: Pump, connection: socket.socket, protocol: IProtocol) -> None:
        self._pump = pump
        self.socket = connection
        self._protocol = protocol
        self._out = bytearray()
        self._open = True
        self.disconnecting = False

    @property
    def unsent(self) -> bool:
        """Whether bytes wait."""
        return bool(self._out)

    def write(self, data: bytes) -> None:
        """See ITransport."""
        if self._open:
            self._out += data

    def writeSequence(self, pieces: list[bytes]) -> None:
        """See ITransport."""
        self.write(b"".join(pieces))

    def loseConnection(self) -> None:
        """See ITransport; what waits is not sent."""
        self._end(ConnectionDone())

    def abortConnection(self) -> None:
        """See ITransport."""
        self._end(ConnectionAborted())

    def getPeer(self) -> IPv4Address:
        """See ITransport."""
        return IPv4Address("TCP", "127.0.0.1", 0)

    def flush(self) -> None:
        """Sends what the kernel takes."""
        try:
            sent = self.socket.send(self._out)
        except BlockingIOError:
            return
        except OSError:
            self._end(ConnectionLost())
            return
        del self._out[:sent]

    def receive(self) -> None:
        """Hands over what came."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._protocol.dataReceived(data)
        else:
            self._end(ConnectionLost())

    def _end(self, reason: Exception) -> None:
        if not self._open:
            return
        self._open = False
        self._pump.wires.remove(self)
        self.socket.close()
        # Never within the call that ends it, as with a real reactor.
        self._pump.clock.callLater(0, self._protocol.connectionLost, Failure(reason))


class Pump:
    """Sockets and one clock.

    Attributes:
        clock: what the code under test is handed; it stands still unless the test advances it, or
            asks for `run_clock`.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.wires: list[Wire] = []

    def endpoint(self, port: int) -> IStreamClientEndpoint:
        """The way to a port on this machine."""
        return _Endpoint(self, port)

    def connect(self, port: int, factory: IProtocolFactory) -> Deferred[Any]:
        """Connects; the Deferred has fired."""
        try:
            connection = socket.create_connection(("127.0.0.1", port), 10.0)
        except OSError as error:
            return fail(ConnectionRefusedError(str(error)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        protocol: Any = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", port))
        assert protocol is not None
        wire = Wire(self, connection, protocol)
        self.wires.append(wire)
        protocol.makeConnection(wire)
        return succeed(protocol)

    def turn(self, wait: float = 0.0) -> bool:
        """Does what is due and moves bytes; waits up to `wait` seconds for some. Whether bytes came."""
        self.clock.advance(0)
        for wire in list(self.wires):
            if wire.unsent:
                wire.flush()
        by_socket = {wire.socket: wire for wire in self.wires}
        sending = [wire.socket for wire in self.wires if wire.unsent]
        if not by_socket:
            time.sleep(wait)
            return False
        readable, writable, _ = select.select(list(by_socket), sending, [], wait)
        for one in writable:
            by_socket[one].flush()
        for one in readable:
            if by_socket[one] in self.wires:
                by_socket[one].receive()
        self.clock.advance(0)
        return bool(readable)

    def until(self, done: Callable[[], Any], *, run_clock: bool = False) -> None:
        """Turns until `done()`; with `run_clock` the clock goes on with real time meanwhile."""
        begun = last = time.monotonic()
        while not done():
            self.turn(0.005)
            now = time.monotonic()
            if run_clock:
                self.clock.advance(now - last)
            last = now
            assert now - begun < PATIENCE, "it does not end"

    def due(self) -> bool:
        """Whether something is due now."""
        now = self.clock.seconds()
        return any(call.getTime() <= now for call in self.clock.getDelayedCalls())


@implementer(IStreamClientEndpoint)
class _Endpoint:
    def __init__(self, pump: Pump, port: int) -> None:
        self._pump = pump
        self._port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        return self._pump.connect(self._port, protocolFactory)
