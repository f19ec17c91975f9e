"""A TCP proxy in front of Redis that a test can make lose, hold back or cut what passes."""

from __future__ import annotations

from typing import Any

from hiredis import Reader
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.redis.pump import Pump


class _Near:
    """The transport the client is given."""

    disconnecting = False

    def __init__(self, passage: _Passage) -> None:
        self._passage = passage

    def write(self, data: bytes) -> None:
        """See ITransport."""
        self._passage.from_client(data)

    def loseConnection(self) -> None:
        """See ITransport."""
        self._passage.end()

    abortConnection = loseConnection


class _Far(Protocol):
    """The connection to Redis."""

    def __init__(self, passage: _Passage) -> None:
        self._passage = passage

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self._passage.from_server(data)

    def connectionLost(self, reason: Any = None) -> None:
        """See IProtocol."""
        self._passage.end()


class _Passage:
    def __init__(self, proxy: Proxy, client: Any) -> None:
        self._proxy = proxy
        self.client = client
        self.far: Any = None
        self.held = b""
        self.answers = 0
        self._reader = Reader()
        self._open = True

    def from_client(self, data: bytes) -> None:
        if self._open and not self._proxy.mute:
            self.far.transport.write(data)

    def from_server(self, data: bytes) -> None:
        if not self._open or self._proxy.mute:
            return
        if self._proxy.hold_answers and self._proxy.hold_only in (None, self.client):
            self.held += data
            self._reader.feed(data)
            while self._reader.gets() is not False:
                self.answers += 1
        else:
            self.client.dataReceived(data)

    def let_go(self) -> None:
        held, self.held, self.answers = self.held, b"", 0
        if held:
            self.client.dataReceived(held)

    def end(self) -> None:
        if self._open:
            self._open = False
            self._proxy.passages.remove(self)
            self.far.transport.loseConnection()
            self._proxy.pump.clock.callLater(0, self._tell)

    def _tell(self) -> None:
        self.client.connectionLost(Failure(ConnectionLost()))


@implementer(IStreamClientEndpoint)
class Proxy:
    """Between links and one Redis.

    Attributes:
        mute: nothing passes, in either direction; it is lost.
        hold_answers: commands pass, answers are held back …
        hold_only: … those to one client; None = to all.
        closed: nobody gets through any more who is not connected already.
    """

    def __init__(self, pump: Pump, port: int) -> None:
        self.pump = pump
        self._port = port
        self.passages: list[_Passage] = []
        self.mute = False
        self.hold_answers = False
        self.hold_only: object = None
        self.closed = False

    def where(self) -> Deferred[IStreamClientEndpoint]:
        """For a connection's `where`."""
        return succeed(self)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """See IStreamClientEndpoint."""
        if self.closed:
            return fail(ConnectionRefusedError())
        client: Any = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", self._port))
        passage = _Passage(self, client)
        reached = self.pump.connect(self._port, Factory.forProtocol(lambda: _Far(passage)))

        def made(far: Any) -> Any:
            passage.far = far
            self.passages.append(passage)
            client.makeConnection(_Near(passage))
            return client

        return reached.addCallback(made)

    def answers_to(self, client: object) -> int:
        """How many answers to a client are held back."""
        return sum(passage.answers for passage in self.passages if passage.client is client)

    @property
    def held(self) -> int:
        """Bytes of answers held back."""
        return sum(len(passage.held) for passage in self.passages)

    def let_through(self) -> None:
        """From now on everything passes."""
        self.mute = self.hold_answers = False

    def let_go(self) -> None:
        """What was held back arrives."""
        self.hold_answers = False
        for passage in list(self.passages):
            passage.let_go()

    def cut_client(self, client: object) -> None:
        """Ends one client's connection."""
        for passage in [passage for passage in self.passages if passage.client is client]:
            passage.end()

    def cut(self) -> None:
        """Ends every connection; held answers never arrive."""
        self.hold_answers = False
        for passage in list(self.passages):
            passage.end()

    def close(self) -> None:
        """At the test's end."""
        self.cut()
        self.pump.turn()
