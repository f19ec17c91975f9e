"""The measure for relayed media: a TCP relay of nothing but Twisted. Connections that begin with the same
eight bytes are a pair; what one sends is written to the other."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

NAME = 8


class Relay(Protocol):
    """One end of a pair."""

    waiting: dict[bytes, Relay] = {}
    transport: Any

    def __init__(self) -> None:
        self._head = b""
        self._peer: Relay | None = None

    def connectionMade(self) -> None:
        """See IProtocol."""
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if len(self._head) < NAME:
            self._head += data
            self._head, data = self._head[:NAME], self._head[NAME:]
            if len(self._head) == NAME:
                self._peer = self.waiting.pop(self._head, None)
                if self._peer is None:
                    self.waiting[self._head] = self
                else:
                    self._peer._peer = self
                    for end in (self, self._peer):
                        end.transport.write(b"\x07")
        if data and self._peer is not None:
            self._peer.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._peer = None
        self.waiting.pop(self._head, None)


def main() -> None:
    """Listens on a free loopback port and prints it."""
    factory: Any = ServerFactory()
    factory.protocol = Relay
    port: Any = reactor.listenTCP(0, factory, backlog=1024, interface="127.0.0.1")
    print(port.getHost().port)
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main()
