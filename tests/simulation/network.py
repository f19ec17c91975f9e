"""Byte pipes between clients and nodes: delays, splits, back-pressure, cuts.

Bytes of one direction keep their order; that is all that is promised. They
arrive in pieces of any size, after any delay, and a cut loses a random tail
of what was under way in each direction. The two ends of a cut connection learn
of it at different times, as with a lost route.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IConsumer, IProtocol, IPushProducer, ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.simulation.world import Realm, World

DONE = Failure(ConnectionDone())
LOST = Failure(ConnectionLost())
ABORTED = Failure(ConnectionAborted())


class Manner:
    """How a connection behaves.

    Attributes:
        latency: longest delay of a piece, seconds.
        piece: a number that says how finely bytes are cut; 0 = not at all.
        high_water: bytes waiting at the server's end above which its producer is paused.
    """

    __slots__ = ("high_water", "latency", "piece")

    def __init__(self, latency: float = 0.01, piece: int = 0, high_water: int = 64 * 1024) -> None:
        self.latency = latency
        self.piece = piece
        self.high_water = high_water


class Stream:
    """One direction of a connection."""

    __slots__ = ("_buffer", "_chance", "_due", "_ended", "deliver", "end", "manner", "on_drain", "paused", "world")

    def __init__(self, world: World, manner: Manner, deliver: Callable[[bytes], None], end: Callable[[], None]) -> None:
        self.world = world
        self.manner = manner
        self.deliver = deliver
        self.end = end
        self.on_drain: Callable[[], None] | None = None
        self.paused = False
        self._chance: Random = world.chance
        self._buffer = bytearray()
        self._due = False
        self._ended = False

    def __len__(self) -> int:
        return len(self._buffer)

    def write(self, data: bytes) -> None:
        """Sends bytes on their way."""
        if not self._ended:
            self._buffer += data
            self._arrange()

    def finish(self) -> None:
        """No more bytes come; `end` is called behind the last one."""
        if not self._ended:
            self._ended = True
            self._arrange()

    def lose(self) -> None:
        """Loses a random tail of what is under way; nothing comes after it."""
        self._ended = True
        if self._buffer:
            del self._buffer[self._chance.randrange(len(self._buffer) + 1) :]

    def stop(self) -> None:
        """Delivers nothing more at all."""
        self._ended = True
        self.paused = True
        self._buffer.clear()

    def pause(self) -> None:
        """The reader does not read."""
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
            delay = round(self._chance.random() * self.manner.latency, 3)
            self.world.later(delay, self._arrive)

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
            self.deliver(data)
            if self.on_drain is not None:
                self.on_drain()
        elif self._ended:
            self.paused = True
            self.end()
            return
        self._arrange()


@implementer(ITCPTransport, IConsumer, IPushProducer)
class ServerTransport:
    """What the server's protocol writes to: behaves as Twisted's TCP server transport."""

    def __init__(self, connection: Connection, realm: Realm, peer: IPv4Address, host: IPv4Address) -> None:
        self._connection = connection
        self._realm = realm
        self._peer = peer
        self._host = host
        self._producer: Any = None
        self._streaming = False
        self._producer_paused = False
        self._stream = connection.down
        self.connected = True
        self.disconnecting = False
        self.protocol: Any = None

    # ITransport

    def write(self, data: bytes) -> None:
        """See ITransport."""
        if not isinstance(data, bytes):
            raise TypeError(f"bytes expected, got {type(data).__name__}")
        if not self.connected or not self._realm.alive:
            return
        self._connection.wrote(data)
        self._stream.write(data)
        if self._producer is not None and self._streaming and len(self._stream) > self._stream.manner.high_water:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See ITransport."""
        self.write(b"".join(data))

    def loseConnection(self, reason: Failure = DONE) -> None:
        """See ITransport: what is queued still goes out."""
        if self.connected and not self.disconnecting and self._realm.alive:
            self.disconnecting = True
            self._stop_reading()
            self._realm.callLater(0, self._lose_when_empty)

    def abortConnection(self) -> None:
        """See ITCPTransport."""
        if self.connected and self._realm.alive:
            self.disconnecting = True
            self._stop_reading()
            self._realm.callLater(0, self._gone, ABORTED)
            self._connection.aborted()

    def getPeer(self) -> IAddress:
        """See ITransport."""
        return self._peer

    def getHost(self) -> IAddress:
        """See ITransport."""
        return self._host

    def loseWriteConnection(self) -> None:
        """See ITCPTransport."""
        self.loseConnection()

    def getTcpNoDelay(self) -> bool:
        """See ITCPTransport."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See ITCPTransport."""

    def getTcpKeepAlive(self) -> bool:
        """See ITCPTransport."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See ITCPTransport."""

    # IConsumer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer."""
        if self._producer is not None:
            raise RuntimeError("a producer is registered already")
        if not self.connected:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._producer = None
        if self.connected and self.disconnecting and self._realm.alive:
            self._realm.callLater(0, self._lose_when_empty)

    # IPushProducer: the reading side

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        if self._realm.alive:
            self._connection.up.pause()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        if self.connected and not self.disconnecting and self._realm.alive:
            self._connection.up.resume()

    def stopProducing(self) -> None:
        """See IPushProducer."""
        self.loseConnection()

    # The connection's side

    def drained(self) -> None:
        """The peer took some bytes."""
        if not self._realm.alive or len(self._stream):
            return
        if self._producer is not None and (not self._streaming or self._producer_paused):
            self._producer_paused = False
            self._producer.resumeProducing()
        elif self.disconnecting:
            self._gone(DONE)

    def received(self, data: bytes) -> None:
        """Bytes arrived from the client."""
        if self.connected and not self.disconnecting and self._realm.alive:
            self.protocol.dataReceived(data)

    def lost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._gone(reason)

    def _lose_when_empty(self) -> None:
        if not len(self._stream):
            self._gone(DONE)

    def _stop_reading(self) -> None:
        self._connection.up.pause()

    def _gone(self, reason: Failure) -> None:
        if not self.connected:
            return
        self.connected = False
        self.disconnecting = True
        self._connection.up.stop()
        self._stream.finish()
        if self._realm.alive:
            producer, self._producer = self._producer, None
            if producer is not None:
                producer.stopProducing()
            self.protocol.connectionLost(reason)


class Connection:
    """A connection between a client and a protocol on a node.

    Attributes:
        up / down: client to server, server to client.
        dead: cut or crashed; the client may not know yet.
    """

    def __init__(
        self,
        world: World,
        realm: Realm,
        manner: Manner,
        received: Callable[[bytes], None],
        lost: Callable[[], None],
        peer: IPv4Address,
        host: IPv4Address,
        wrote: Callable[[bytes], None],
    ) -> None:
        """Args:
        realm: the server process.
        received, lost: the client's ears.
        wrote: told what the server writes, before it goes out (a place for faults).
        """
        self.world = world
        self.wrote = wrote
        self.dead = False
        self._lost = lost
        self._client_gone = False
        self.up = Stream(world, manner, self._at_server, self._server_ended)
        self.down = Stream(world, manner, received, self._client_ended)
        self.transport = ServerTransport(self, realm, peer, host)
        self.down.on_drain = self.transport.drained

    def accept(self, protocol: IProtocol) -> None:
        """The server's end comes to life."""
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)  # type: ignore[arg-type]

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

    def cut(self, server_notices_after: float, client_notices_after: float) -> None:
        """The network fails: a tail of both directions is lost."""
        if self.dead:
            return
        self.dead = True
        self.up.lose()
        self.down.lose()
        self.world.later(server_notices_after, self.transport.lost, LOST)
        self.world.later(client_notices_after, self._client_ended)

    def crashed(self, client_notices_after: float) -> None:
        """The server process is gone; what it had sent may still arrive."""
        if not self.dead:
            self.dead = True
            self.up.stop()
            self.down.lose()
            self.world.later(client_notices_after, self._client_ended)

    def aborted(self) -> None:
        """The server reset the connection."""
        self.up.stop()
        self.down.lose()
        self.down.resume()

    def _at_server(self, data: bytes) -> None:
        self.transport.received(data)

    def _server_ended(self) -> None:
        self.transport.lost(DONE)

    def _client_ended(self) -> None:
        if not self._client_gone:
            self._client_gone = True
            self.down.stop()
            self._lost()
