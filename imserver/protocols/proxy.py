"""Connections that a trusted proxy passes on, each with a PROXY header at its beginning.

The header comes before everything else, TLS too. Once it is read, the connection
belongs to the protocol that is built for the client's address: nothing stays in between.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.protocols.doors import Doors, host_of
from imserver.protocols.proxy_header import ProxyHeaderError, parse_header

LOG_INTERVAL = 60.0
"""Seconds in which one refused connection is logged; the rest is counted."""


class Trusted:
    """The proxies that are believed."""

    def __init__(self, networks: Sequence[str]) -> None:
        """Args:
        networks: addresses and networks, checked before.
        """
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def __contains__(self, host: object) -> bool:
        try:
            address = ipaddress.ip_address(str(host))
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def client_of(self, peer: str, forwarded: Sequence[str]) -> str:
        """Whom a request is from that came with X-Forwarded-For.

        Every proxy appends the address it was asked from, so only what stands right of
        the first address that is not trusted was written by one that is.

        Args:
            peer: the connection's address.
            forwarded: the header's values, in order.

        Raises:
            ValueError: the peer is not trusted, or the header is missing or malformed.
        """
        if peer not in self:
            raise ValueError("not a trusted proxy")
        hops = [hop.strip() for value in forwarded for hop in value.split(",")]
        if not hops:
            raise ValueError("no X-Forwarded-For")
        for hop in reversed(hops):
            client = str(ipaddress.ip_address(hop))
            if client not in self:
                break
        return client


def client_address(host: str, port: int) -> IPv4Address | IPv6Address:
    """A TCP address from its text form."""
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


class ProxyProtocol(Protocol):
    """Reads the header, then hands the connection over.

    Attributes:
        wheel_slot: the wheel's.
    """

    wheel_slot = -1
    transport: Any
    factory: ProxyFactory

    def __init__(self, doors: Doors, inner: IProtocolFactory) -> None:
        self._doors = doors
        self._inner = inner
        self._data = b""

    def connectionMade(self) -> None:
        """See IProtocol."""
        limits = self._doors.limits
        self._doors.wheel.watch(self, self._doors.clock.seconds() + limits.handshake_time)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self._data += data
        try:
            header = parse_header(self._data)
        except ProxyHeaderError as error:
            self.factory.refused(host_of(self.transport.getPeer()), str(error))
            self.transport.abortConnection()
            return
        if header is None:
            return
        self._doors.wheel.forget(self)
        transport = self.transport
        rest = self._data[header.length :]
        peer = transport.getPeer()
        if header.host:
            peer = client_address(header.host, header.port)
            transport.getPeer = lambda: peer
        protocol: IProtocol | None = None if self._doors.closing else self._inner.buildProtocol(peer)
        if protocol is None:
            transport.abortConnection()
            return
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if rest:
            protocol.dataReceived(rest)

    def check(self, now: float) -> float | None:
        """See liveness.Watched: the header did not come."""
        self.transport.abortConnection()
        return None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._doors.wheel.forget(self)


class ProxyFactory(ServerFactory):
    """Puts the header before a factory's protocols; lets only trusted proxies in."""

    log = Logger()
    noisy = False

    def __init__(self, trusted: Trusted, inner: IProtocolFactory, doors: Doors) -> None:
        self._trusted = trusted
        self._inner = inner
        self._doors = doors
        self._refused = 0
        self._log_again = float("-inf")

    def doStart(self) -> None:
        """See IProtocolFactory."""
        self._inner.doStart()
        super().doStart()  # type: ignore[no-untyped-call]

    def doStop(self) -> None:
        """See IProtocolFactory."""
        self._inner.doStop()
        super().doStop()  # type: ignore[no-untyped-call]

    def buildProtocol(self, addr: IAddress | None) -> ProxyProtocol | None:  # type: ignore[override]
        """See IProtocolFactory; None (the connection is closed) for everybody but the proxies."""
        host = host_of(addr)
        if host not in self._trusted:
            self.refused(host, "not a trusted proxy")
            return None
        if self._doors.closing:
            return None
        protocol = ProxyProtocol(self._doors, self._inner)
        protocol.factory = self
        return protocol

    def refused(self, host: str, reason: str) -> None:
        """Counts a connection that was not let in, and logs one a minute."""
        self._refused += 1
        now = self._doors.clock.seconds()
        if now >= self._log_again:
            self._log_again = now + LOG_INTERVAL
            self.log.warn(
                "a connection from {address} to a PROXY listener is closed: {reason} ({count} so far)",
                address=host or "a unix socket",
                reason=reason,
                count=self._refused,
            )
