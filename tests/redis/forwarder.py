"""A TCP port in front of Redis, for real processes: a test cuts what passes, or lets it stand still."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.interfaces import IAddress, IReactorTCP
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure

reactor: Any = _reactor


class _End(Protocol):
    """One of the two ends of a passage; what it reads goes out at the other one."""

    transport: Any

    def __init__(self) -> None:
        self.other: _End | None = None
        self.waiting: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        other = self.other
        if other is None:
            self.waiting.append(data)
        else:
            other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        if self.other is not None:
            self.other.transport.abortConnection()


class _Near(_End):
    def __init__(self, forwarder: Forwarder) -> None:
        super().__init__()
        self._forwarder = forwarder
        self._gone = False

    def connectionMade(self) -> None:
        """Reaches for Redis, unless nobody may."""
        if self._forwarder.closed:
            self.transport.abortConnection()
            return
        self._forwarder.passages.append(self)
        factory: Any = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = self._reached
        factory.clientConnectionFailed = lambda *_: self.transport.abortConnection()
        IReactorTCP(reactor).connectTCP("127.0.0.1", self._forwarder.target, factory)

    def _reached(self, _: IAddress) -> Protocol:
        return _Far(self)

    def joined(self, far: _End) -> None:
        """The other end is there."""
        if self._gone:
            far.transport.abortConnection()
            return
        self.other = far
        for data in self.waiting:
            far.transport.write(data)
        if self._forwarder.still:
            self.stand_still()

    def stand_still(self) -> None:
        """Nothing passes; nothing is lost."""
        for end in (self, self.other):
            if end is not None:
                end.transport.pauseProducing()

    def go_on(self) -> None:
        """It passes again."""
        for end in (self, self.other):
            if end is not None:
                end.transport.resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._gone = True
        if self in self._forwarder.passages:
            self._forwarder.passages.remove(self)
        super().connectionLost(reason)


class _Far(_End):
    def __init__(self, near: _Near) -> None:
        super().__init__()
        self.other = near

    def connectionMade(self) -> None:
        """See IProtocol."""
        near = self.other
        assert isinstance(near, _Near)
        near.joined(self)


class Forwarder:
    """Listens on a port of its own.

    Args:
        target: the port of Redis, on the loopback interface.

    Attributes:
        closed: who connects is thrown out at once.
        still: nothing passes on any connection, as over a link that is dead and does not say so.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.closed = False
        self.still = False
        self.passages: list[_Near] = []
        factory = Factory.forProtocol(lambda: _Near(self))
        factory.noisy = False
        self._port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._port.getHost().port)

    def cut(self) -> None:
        """Ends every connection with a reset, whatever is on its way."""
        for passage in list(self.passages):
            passage.transport.abortConnection()

    def stand_still(self) -> None:
        """From now on nothing passes."""
        self.still = True
        for passage in self.passages:
            passage.stand_still()

    def heal(self) -> None:
        """Everything passes again."""
        self.closed = False
        if self.still:
            self.still = False
            for passage in self.passages:
                passage.go_on()

    def close(self) -> None:
        """At the test's end."""
        self._port.stopListening()
        self.cut()
