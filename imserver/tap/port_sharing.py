"""Several servers of one machine behind one port: the kernel spreads the connections (SO_REUSEPORT)."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory


class PortSharing:
    """A reactor for endpoints that listen on a port which others may listen on, too.

    Such a port is refused where somebody listens without sharing, or as another user.
    """

    def __init__(self, reactor: Any) -> None:
        """Args:
        reactor: IReactorSocket.
        """
        self._reactor = reactor

    def listenTCP(
        self, port: int, factory: ServerFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """See IReactorTCP."""
        family = socket.AF_INET
        if interface and ipaddress.ip_address(interface).version == 6:
            family = socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_STREAM) as shared:
                shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                shared.bind((interface, port))
                shared.listen(backlog)
                shared.setblocking(False)
                # The reactor has a descriptor of its own from here on.
                adopted: IListeningPort = self._reactor.adoptStreamPort(shared.fileno(), family, factory)
        except OSError as error:
            raise CannotListenError(interface, port, error) from None
        return adopted
