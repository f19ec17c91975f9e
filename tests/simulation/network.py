"""Byte pipes between clients and nodes: delays, splits, back-pressure, cuts.

The server's end is Twisted's own TCP connection over a socket that exists only
here, so producers, half-written buffers and the ways of losing a connection are
the real ones. Bytes of one direction keep their order; that is all that is
promised. They arrive in pieces of any size, after any delay, and a cut loses a
random tail of what was under way. The two ends of a cut connection learn of it
at different times, as with a lost route.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IReactorFDSet
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.simulation.world import Realm, World


class Manner:
    """How a connection behaves.

    Attributes:
        latency: longest delay of a piece, seconds.
        piece: how finely bytes are cut: the smallest piece that is always allowed; 0 = not at all.
        window: bytes the kernels take from the server before the client reads them.
    """

    __slots__ = ("latency", "piece", "window")

    def __init__(self, latency: float = 0.01, piece: int = 0, window: int = 64 * 1024) -> None:
        self.latency = latency
        self.piece = piece
        self.window = window


class Stream:
    """One direction of a connection.

    Attributes:
        paused: the reader does not read.
        lost: bytes written that will never arrive; the writer's kernel keeps them.
        on_drain: called when some bytes were taken.
    """

    __slots__ = (
        "_buffer",
        "_chance",
        "_deliver",
        "_due",
        "_end",
        "_ended",
        "lost",
        "manner",
        "on_drain",
        "paused",
        "world",
    )

    def __init__(
        self, world: World, manner: Manner, deliver: Callable[[bytes], None], end: Callable[[], None]
    ) -> None:
        self.world = world
        self.manner = manner
        self.paused = False
        self.lost = 0
        self.on_drain: Callable[[], None] | None = None
        self._deliver = deliver
        self._end = end
        self._chance = world.chance
        self._buffer = bytearray()
        self._due = False
        self._ended = False

    def __len__(self) -> int:
        return len(self._buffer)

    def write(self, data: bytes) -> None:
        """Sends bytes on their way."""
        if self._ended:
            self.lost += len(data)
        else:
            self._buffer += data
            self._arrange()

    def finish(self) -> None:
        """No more bytes come; `end` is called behind the last one."""
        if not self._ended:
            self._ended = True
            self._arrange()

    def lose(self) -> None:
        """Loses a random tail of what is under way; nothing comes after it, not even an end."""
        self._ended = True
        if self._buffer:
            kept = self._chance.randrange(len(self._buffer) + 1)
            self.lost += len(self._buffer) - kept
            del self._buffer[kept:]
        self._end = _nothing

    def stop(self) -> None:
        """Delivers nothing more at all."""
        self._ended = True
        self.paused = True
        self.lost += len(self._buffer)
        self._buffer.clear()

    def pause(self) -> None:
        """The reader stops reading."""
        self.paused = True

    def resume(self) -> None:
        """The reader reads again."""
        if self.paused:
            self.paused = False
            self._arrange()

    def _arrange(self) -> None:
        if not self._due and not self.paused and (self._buffer or self._ended):
            self._due = True
            # Whole milliseconds, so that many events are due at the same time
            # and chance decides which comes first.
            self.world.later(round(self._chance.random() * self.manner.latency, 3), self._arrive)

    def _arrive(self) -> None:
        self._due = False
        if self.paused:
            return
        buffer = self._buffer
        if buffer:
            size = len(buffer)
            piece = self.manner.piece
            if piece and size > 1 and self._chance.random() < 0.5:
                size = self._chance.randint(1, min(size, max(piece, size // 4)))
            data = bytes(buffer[:size])
            del buffer[:size]
            self.world.deliveries += 1
            self._deliver(data)
            if self.on_drain is not None:
                self.on_drain()
            self._arrange()
        elif self._ended:
            self.paused = True
            self._end()


def _nothing() -> None:
    return None


class Socket:
    """The server's socket of one connection, as far as twisted.internet.tcp uses sockets."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._received = bytearray()
        self._ended = False
        self._error = 0
        self.closed = False

    def setblocking(self, flag: bool) -> None:
        """As socket.socket."""

    def fileno(self) -> int:
        """There is no descriptor behind it."""
        return -1

    def recv(self, size: int) -> bytes:
        """As socket.socket."""
        if self._received:
            data = bytes(self._received[:size])
            del self._received[:size]
            return data
        if self._error:
            raise OSError(self._error, "simulated")
        if self._ended:
            return b""
        raise OSError(errno.EWOULDBLOCK, "nothing to read")

    def send(self, data: bytes) -> int:
        """As socket.socket."""
        if self._error:
            raise OSError(self._error, "simulated")
        return self._connection.server_sends(bytes(data))

    def shutdown(self, how: int) -> None:
        """As socket.socket; how 1: no more is sent."""
        if how == 1:
            self._connection.server_sent_all()

    def setsockopt(self, *args: Any) -> None:
        """As socket.socket; what is set is a zero linger: a reset instead of an end."""
        self._connection.server_resets()

    def getsockopt(self, *args: Any) -> int:
        """As socket.socket."""
        return 0

    def close(self) -> None:
        """As socket.socket."""
        self.closed = True
        self._connection.server_closed()

    # The connection's side

    @property
    def under_way(self) -> int:
        """Bytes sent that have not arrived."""
        return len(self._connection.down) + self._connection.down.lost

    @property
    def readable(self) -> bool:
        """Whether `recv` has something to say."""
        return bool(self._received or self._ended or self._error)

    def arrive(self, data: bytes) -> None:
        """Bytes came."""
        self._received += data

    def end(self) -> None:
        """The peer closed."""
        self._ended = True

    def fail(self) -> None:
        """The route is gone."""
        self._error = errno.ECONNRESET


class ServerTransport(tcp.Connection):
    """Twisted's TCP connection over a simulated socket."""

    def __init__(
        self, socket: Socket, protocol: Any, reactor: Any, peer: IPv4Address, host: IPv4Address
    ) -> None:
        super().__init__(socket, protocol, reactor)  # type: ignore[arg-type]
        self._peer = peer
        self._host = host
        self.connected = 1

    def getPeer(self) -> IAddress:
        """See ITransport."""
        return self._peer

    def getHost(self) -> IAddress:
        """See ITransport."""
        return self._host


@implementer(IReactorFDSet)
class Poller(Realm):
    """The realm of a server process: its clock, and the readiness of its simulated sockets."""

    __slots__ = ("_readers", "_writers", "log")

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self._readers: dict[Any, None] = {}
        self._writers: dict[Any, None] = {}
        self.log = Logger(namespace="tests.simulation.network")

    def addReader(self, reader: Any) -> None:
        """See IReactorFDSet."""
        if reader not in self._readers:
            self._readers[reader] = None
            if reader.socket.readable:
                self.callLater(0, self.read, reader)

    def addWriter(self, writer: Any) -> None:
        """See IReactorFDSet."""
        if writer not in self._writers:
            self._writers[writer] = None
            self.callLater(0, self.write, writer)

    def removeReader(self, reader: Any) -> None:
        """See IReactorFDSet."""
        self._readers.pop(reader, None)

    def removeWriter(self, writer: Any) -> None:
        """See IReactorFDSet."""
        self._writers.pop(writer, None)

    def removeAll(self) -> list[Any]:
        """See IReactorFDSet."""
        return []

    def getReaders(self) -> list[Any]:
        """See IReactorFDSet."""
        return list(self._readers)

    def getWriters(self) -> list[Any]:
        """See IReactorFDSet."""
        return list(self._writers)

    def read(self, transport: Any) -> None:
        """A socket may have become readable."""
        if self.stopped:
            self.callLater(0, self.read, transport)
        elif self.alive and transport in self._readers and transport.socket.readable:
            self._run(transport, transport.doRead, True)
            if transport in self._readers and transport.socket.readable:
                self.callLater(0, self.read, transport)

    def write(self, transport: Any) -> None:
        """A socket may have become writable."""
        if self.stopped:
            self.callLater(0, self.write, transport)
        elif self.alive and transport in self._writers:
            self._run(transport, transport.doWrite, False)

    def _run(self, transport: Any, method: Callable[[], Any], reading: bool) -> None:
        # As twisted.internet.posixbase does it.
        try:
            why = method()
        except Exception as error:
            self.log.failure("a protocol failed")
            why = error
        if why and self.alive:
            self.removeReader(transport)
            if reading and isinstance(why, ConnectionDone):
                transport.readConnectionLost(Failure(why))
            else:
                self.removeWriter(transport)
                transport.connectionLost(Failure(why))


class Connection:
    """A connection between a client and a protocol on a node.

    Attributes:
        up / down: client to server, server to client.
    """

    def __init__(
        self,
        world: World,
        poller: Poller,
        manner: Manner,
        received: Callable[[bytes], None],
        lost: Callable[[], None],
        on_send: Callable[[], None],
    ) -> None:
        """Args:
        poller: the server process.
        received, lost: the client's ears.
        on_send: called before the server's bytes go out (a place for a crash).
        """
        self.world = world
        self.poller = poller
        self.manner = manner
        self._lost = lost
        self._on_send = on_send
        self._client_gone = False
        self._dead = False
        self._reset = False
        self.socket = Socket(self)
        self.transport: ServerTransport | None = None
        self.up = Stream(world, manner, self._at_server, self._client_closed)
        self.down = Stream(world, manner, received, self._client_ended)
        self.down.on_drain = self._drained

    def accept(self, protocol: Any, peer: IPv4Address, host: IPv4Address) -> None:
        """The server's end comes to life."""
        self.transport = ServerTransport(self.socket, protocol, self.poller, peer, host)
        protocol.makeConnection(self.transport)
        self.transport.startReading()

    # The client's side

    def write(self, data: bytes) -> None:
        """The client sends bytes."""
        if not self._client_gone:
            self.up.write(data)

    def close(self) -> None:
        """The client closes in good order: what it sent still arrives."""
        if not self._client_gone:
            self._client_gone = True
            self.down.stop()
            self.up.finish()

    # What breaks

    def cut(self, server_notices_after: float, client_notices_after: float) -> None:
        """The network fails: a tail of both directions is lost."""
        if not self._dead:
            self._dead = True
            self.up.lose()
            self.down.lose()
            self.world.later(server_notices_after, self._server_lost)
            self.world.later(client_notices_after, self._client_ended)

    def crashed(self, client_notices_after: float) -> None:
        """The server process is gone; some of what it had sent may still arrive."""
        if not self._dead:
            self._dead = True
            self.up.stop()
            self.down.lose()
            self.world.later(client_notices_after, self._client_ended)

    # The socket's side

    def server_sends(self, data: bytes) -> int:
        """Takes what the window allows."""
        self._on_send()
        if not self.poller.alive:
            return len(data)
        room = self.manner.window - len(self.down)
        if room <= 0 and not self._dead:
            raise OSError(errno.EWOULDBLOCK, "the window is full")
        taken = data if self._dead else data[:room]
        self.down.write(taken)
        return len(taken)

    def server_sent_all(self) -> None:
        """The server will send nothing more, but still reads."""
        if not self._dead and self.poller.alive:
            self.down.finish()

    def server_resets(self) -> None:
        """The server will close with a reset."""
        self._reset = True

    def server_closed(self) -> None:
        """The server closed its socket."""
        if self._dead or not self.poller.alive:
            return
        self.up.stop()
        if self._reset:
            self._dead = True
            self.down.lose()
            self.world.later(self.manner.latency, self._client_ended)
        else:
            self.down.finish()

    def _at_server(self, data: bytes) -> None:
        self.socket.arrive(data)
        if self.transport is not None:
            self.poller.read(self.transport)

    def _client_closed(self) -> None:
        self.socket.end()
        if self.transport is not None:
            self.poller.read(self.transport)

    def _server_lost(self) -> None:
        if self.poller.stopped:
            self.poller.callLater(0, self._server_lost)
        elif self.transport is not None and not self.socket.closed and self.poller.alive:
            self.socket.fail()
            self.poller.removeReader(self.transport)
            self.poller.removeWriter(self.transport)
            self.transport.connectionLost(Failure(ConnectionLost()))

    def _client_ended(self) -> None:
        if not self._client_gone:
            self._client_gone = True
            self.down.stop()
            self.up.finish()
            self._lost()

    def _drained(self) -> None:
        transport = self.transport
        if transport is not None:
            self.poller.write(transport)
