"""The measure: a WebSocket echo of nothing but Autobahn, as its documentation shows it."""

from __future__ import annotations

import sys
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor


class Echo(WebSocketServerProtocol):
    """Sends back what comes."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """See Autobahn."""
        self.sendMessage(payload, isBinary)  # type: ignore[no-untyped-call]


def main() -> None:
    """Listens on a free loopback port and prints it."""
    factory = WebSocketServerFactory()
    factory.protocol = Echo
    factory.setProtocolOptions(failByDrop=False, tcpNoDelay=True)
    port: Any = reactor.listenTCP(0, factory, backlog=1024, interface="127.0.0.1")
    print(port.getHost().port)
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main()
