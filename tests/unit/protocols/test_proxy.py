"""The PROXY header before a line connection: in pieces, late, missing, from somebody else."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.jsonline import JsonLineFactory
from imserver.protocols.proxy import ProxyFactory, Trusted
from tests.unit.protocols.stub import StubCodec, StubHub, doors

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 5555 443\r\n"


class Transport(StringTransport):
    """What tells its protocol by the attribute that a real one reads."""

    protocol: Any = None


class Proxied(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = doors(StubHub(), unauthenticated_per_address=2, handshake_time=10.0)
        inner = JsonLineFactory(self.house, StubCodec)
        self.factory = ProxyFactory(Trusted(["10.0.0.0/8"]), inner, self.house)

    def connect(self, host: str = "10.0.0.1") -> Transport:
        transport = Transport(peerAddress=IPv4Address("TCP", host, 1))
        protocol = self.factory.buildProtocol(transport.getPeer())
        transport.protocol = protocol
        if protocol is not None:
            protocol.makeConnection(transport)
        return transport

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.house.clock.advance(1)  # type: ignore[attr-defined]

    def test_the_connection_is_the_clients(self) -> None:
        transport = self.connect()
        self.assertEqual(len(self.house), 0)
        for start in range(len(HEADER)):
            transport.protocol.dataReceived(HEADER[start : start + 1])
        self.assertEqual(transport.getPeer(), IPv4Address("TCP", "192.0.2.7", 5555))
        self.assertEqual(self.house.counter.unauthenticated("192.0.2.7"), 1)
        self.assertEqual(self.house.counter.unauthenticated("10.0.0.1"), 0)
        transport.protocol.dataReceived(b"ping#1\n")
        self.pass_time(1)
        self.assertEqual(transport.value(), b"ping#1 ok\n")

    def test_what_is_glued_to_the_header_belongs_to_the_client(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(HEADER + b"ping#1\nping#2\n")
        self.pass_time(1)
        self.assertEqual(transport.value(), b"ping#1 ok\nping#2 ok\n")

    def test_the_limit_is_each_clients(self) -> None:
        transports = [self.connect() for _ in range(3)]
        for transport in transports:
            transport.protocol.dataReceived(HEADER)
        self.assertEqual([transport.disconnected for transport in transports], [False, False, True])

    def test_a_proxy_may_speak_for_itself(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(b"PROXY UNKNOWN\r\nping#1\n")
        self.assertEqual(self.house.counter.unauthenticated("10.0.0.1"), 1)

    def test_a_header_that_does_not_come(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(HEADER[:20])
        self.pass_time(9)
        self.assertFalse(transport.disconnected)
        self.pass_time(3)
        self.assertTrue(transport.disconnected)

    def test_a_header_that_came_has_no_deadline(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(HEADER + b"login#1 alice\n")
        self.pass_time(30)
        self.assertFalse(transport.disconnected)

    def test_no_header_and_no_proxy(self) -> None:
        transport = self.connect()
        transport.protocol.dataReceived(b"ping#1\n")
        self.assertTrue(transport.disconnected)
        self.assertEqual(transport.value(), b"")
        self.assertIsNone(self.connect("192.0.2.1").protocol)
        self.assertIsNone(self.factory.buildProtocol(UNIXAddress(None)))

    def test_nobody_comes_in_while_it_goes_down(self) -> None:
        transport = self.connect()
        self.house.shut_down()
        self.assertIsNone(self.connect().protocol)
        transport.protocol.dataReceived(HEADER)
        self.assertTrue(transport.disconnected)
