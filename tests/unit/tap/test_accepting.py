"""How many connections come in at a time."""

from __future__ import annotations

import select
import socket
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.trial.unittest import SynchronousTestCase

from imserver.tap import garbage
from imserver.tap.accepting import PER_TURN, pace


class Deaf:
    """A reactor that never reads."""

    def addReader(self, reader: Any) -> None: ...
    def removeReader(self, reader: Any) -> None: ...


class Accepting(SynchronousTestCase):
    def setUp(self) -> None:
        self.newcomers = garbage.Newcomers(Clock())

    def test_a_few_in_one_turn_and_all_in_the_end(self) -> None:
        connected: list[Protocol] = []

        class Silent(Protocol):
            def connectionMade(self) -> None:
                connected.append(self)

        port: Any = Port(0, Factory.forProtocol(Silent), interface="127.0.0.1", reactor=Deaf())
        port.startListening()
        self.addCleanup(port.socket.close)
        pace(port, self.newcomers)
        many = 3 * PER_TURN
        for _ in range(many):
            client = socket.create_connection(("127.0.0.1", port.getHost().port))
            self.addCleanup(client.close)
        counts = []
        for _ in range(4):
            port.doRead()
            counts.append(len(connected))
        for protocol in connected:
            transport: Any = protocol.transport
            transport.socket.close()
        self.assertEqual(counts, [PER_TURN, 2 * PER_TURN, many, many])

    def test_who_comes_is_counted_for_the_collector(self) -> None:
        counted: list[object] = []
        self.patch(garbage.Newcomers, "came", lambda newcomers: counted.append(newcomers))
        port: Any = Port(0, Factory.forProtocol(Protocol), interface="127.0.0.1", reactor=Deaf())
        port.startListening()
        self.addCleanup(port.socket.close)
        pace(port, self.newcomers)
        port.doRead()
        self.assertEqual(counted, [self.newcomers])

    def waiting(self, backlog: int) -> int:
        """How many connections fit into the kernel's queue of a port that accepts none."""
        port: Any = Port(0, Factory.forProtocol(Protocol), backlog, "127.0.0.1", Deaf())
        port.startListening()
        self.addCleanup(port.socket.close)
        pace(port, self.newcomers)
        there = 0
        while there < 100:
            client = socket.socket()
            self.addCleanup(client.close)
            client.setblocking(False)
            client.connect_ex(port.socket.getsockname())
            if not select.select([], [client], [], 0.2)[1]:
                break
            there += 1
        return there

    def test_there_is_room_for_those_that_wait(self) -> None:
        self.assertEqual(self.waiting(50), 100)

    def test_what_the_endpoint_says_stays(self) -> None:
        self.assertLess(self.waiting(5), 10)

    def test_other_kinds_of_ports_are_left_alone(self) -> None:
        other = object()
        pace(other, self.newcomers)
