"""The fast transport does what the stock one does, and is not used where Twisted is not the one it knows."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet import tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.python import failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from imserver.protocols.connections import settle
from imserver.tap import fast_loop, fast_transport
from imserver.tap.accepting import TURNS_FOR_ONE, pace
from imserver.tap.fast_loop import FastLoop
from imserver.tap.fast_transport import FastServer
from imserver.tap.garbage import Newcomers

ROUNDS = 2_000
"""Rounds of a hundredth of a second, at the most, until something has happened."""
FEW = 3
"""So many in a turn, here."""
RESET = struct.pack("ii", 1, 0)


class Witness(Protocol):
    """Echoes, and notes what happens; some words are orders."""

    def __init__(self, told: list[Any]) -> None:
        self.told = told

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.told.append(data)
        transport: Any = self.transport
        if data == b"crash":
            raise ZeroDivisionError
        if data == b"close":
            transport.loseConnection()
        elif data == b"abort":
            transport.abortConnection()
        elif data == b"pause":
            transport.pauseProducing()
        elif data == b"much":
            transport.write(b"x" * 3_000_000)
        else:
            transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        """See IProtocol."""
        self.told.append(reason.type.__name__)


@implementer(IHalfCloseableProtocol)
class HalfWitness(Witness):
    """Outlives the end of what its peer says."""

    def readConnectionLost(self) -> None:
        """See IHalfCloseableProtocol."""
        self.told.append("no more")
        assert self.transport is not None
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """See IHalfCloseableProtocol."""


class World:
    """A reactor of its own that listens."""

    def __init__(self, fast: bool, protocol: type[Witness] = Witness) -> None:
        self.told: list[Any] = []
        self.protocols: list[Witness] = []
        self.reactor: Any = EPollReactor()
        factory = Factory()

        def build(address: Any) -> Witness:
            self.protocols.append(protocol(self.told))
            return self.protocols[-1]

        factory.buildProtocol = build  # type: ignore[assignment,method-assign]
        self.port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        if fast:
            assert not fast_transport.fault(self.reactor)
            fast_transport.install(self.reactor, [self.port])

    def connect(self) -> socket.socket:
        """A peer, once it was accepted."""
        count = len(self.protocols)
        peer = socket.create_connection(("127.0.0.1", self.port.getHost().port), 30)
        self.until(lambda: len(self.protocols) > count)
        return peer

    def until(self, happened: Callable[[], Any]) -> None:
        """Lets the reactor run until it has."""
        for _ in range(ROUNDS):
            if happened():
                return
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.01)
        raise AssertionError(self.told)

    def hear(self, peer: socket.socket, count: int) -> bytes:
        """So many bytes that come back."""
        peer.setblocking(False)
        heard = bytearray()

        def whole() -> bool:
            with contextlib.suppress(BlockingIOError):
                heard.extend(peer.recv(65536))
            return len(heard) >= count

        self.until(whole)
        peer.setblocking(True)
        return bytes(heard)

    def end(self) -> None:
        """Closes what it has open."""
        self.port.stopListening()
        for selectable in self.reactor.removeAll():
            with contextlib.suppress(AttributeError, OSError):
                selectable.socket.close()
        self.reactor.waker.connectionLost(None)
        self.reactor._poller.close()


class Same(SynchronousTestCase):
    def both(self, happens: Callable[[World], Any], protocol: type[Witness] = Witness) -> list[Any]:
        """What is told, which must be the same on both."""
        outcomes = []
        for fast in (False, True):
            world = World(fast, protocol)
            try:
                happens(world)
                kind = FastServer if fast else tcp.Server
                self.assertTrue(all(type(one.transport) is kind for one in world.protocols))
                errors = [failure.type.__name__ for failure in self.flushLoggedErrors()]
            finally:
                world.end()
            outcomes.append([*world.told, *errors])
        self.assertEqual(outcomes[0], outcomes[1])
        return outcomes[1]

    def test_what_comes_is_echoed(self) -> None:
        def happens(world: World) -> None:
            peers = [world.connect() for _ in range(3)]
            for peer in peers:
                peer.sendall(b"hello")
            for peer in peers:
                self.assertEqual(world.hear(peer, 5), b"hello")
                peer.close()
            world.until(lambda: len(world.told) == 6)

        self.assertEqual(self.both(happens), [b"hello"] * 3 + ["ConnectionDone"] * 3)

    def test_what_it_is_called(self) -> None:
        def happens(world: World) -> None:
            with world.connect():
                transport: Any = world.protocols[0].transport
                port = str(world.port.getHost().port)
                world.told += [transport.logPrefix(), repr(transport).replace(port, "PORT")]
            world.until(lambda: "ConnectionDone" in world.told)
            world.told.append(len(repr(transport)) > 0 < len(transport.logPrefix()))

        names = ["Witness,0,127.0.0.1", "<Witness #0 on PORT>"]
        self.assertEqual(self.both(happens), [*names, "ConnectionDone", True])

    def test_what_fails_is_logged_and_closed(self) -> None:
        def happens(world: World) -> None:
            one, other = world.connect(), world.connect()
            one.sendall(b"crash")
            world.until(lambda: len(world.told) == 2)
            self.assertEqual(one.recv(1), b"")
            other.sendall(b"goes on")
            self.assertEqual(world.hear(other, 7), b"goes on")
            one.close()
            other.close()

        self.assertEqual(self.both(happens), [b"crash", "ZeroDivisionError", b"goes on", "ZeroDivisionError"])

    def test_ends(self) -> None:
        for word, reason in ((b"close", "ConnectionDone"), (b"abort", "ConnectionAborted")):

            def happens(world: World, word: bytes = word) -> None:
                peer = world.connect()
                peer.sendall(word)
                world.until(lambda: len(world.told) == 2)
                peer.close()

            self.assertEqual(self.both(happens), [word, reason])

    def test_a_reset(self) -> None:
        def happens(world: World) -> None:
            peer = world.connect()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
            world.until(lambda: world.told)

        self.assertEqual(self.both(happens), ["ConnectionLost"])

    def test_half_closed(self) -> None:
        def happens(world: World) -> None:
            peer = world.connect()
            peer.sendall(b"last")
            peer.shutdown(socket.SHUT_WR)
            self.assertEqual(world.hear(peer, 4), b"last")
            world.until(lambda: len(world.told) == 3)
            peer.close()

        self.assertEqual(self.both(happens, HalfWitness), [b"last", "no more", "ConnectionDone"])

    def test_more_than_the_kernel_takes(self) -> None:
        def happens(world: World) -> None:
            peer = world.connect()
            peer.sendall(b"much")
            self.assertEqual(len(world.hear(peer, 3_000_000)), 3_000_000)
            peer.sendall(b"close")
            world.until(lambda: len(world.told) == 3)
            peer.close()

        self.assertEqual(self.both(happens), [b"much", b"close", "ConnectionDone"])

    def test_paused(self) -> None:
        def happens(world: World) -> None:
            peer = world.connect()
            peer.sendall(b"pause")
            world.until(lambda: world.told)
            peer.sendall(b"later")
            for _ in range(3):
                world.reactor.doIteration(0.01)
            self.assertEqual(world.told, [b"pause"])
            transport: Any = world.protocols[0].transport
            transport.resumeProducing()
            self.assertEqual(world.hear(peer, 5), b"later")
            peer.close()
            world.until(lambda: len(world.told) == 3)

        self.assertEqual(self.both(happens), [b"pause", b"later", "ConnectionDone"])

    def test_writing_where_nothing_can_be_written(self) -> None:
        def happens(world: World) -> None:
            peer = world.connect()
            transport: Any = world.protocols[0].transport
            total = 0
            while True:
                count = transport.writeSomeData(b"x" * 1_000_000)
                if count == 0:
                    break
                self.assertTrue(0 < count <= transport.SEND_LIMIT)
                total += count
            peer.close()
            world.until(lambda: world.told)
            ours, theirs = socket.socketpair()
            theirs.close()
            transport.socket = ours
            world.told.append(type(transport.writeSomeData(b"x")).__name__)
            ours.close()

        self.assertEqual(self.both(happens)[1:], ["ConnectionLost"])


class Paced(SynchronousTestCase):
    """Thousands who come or go at once do not make a turn long."""

    def world(self, protocol: type[Witness] = Witness) -> World:
        world = World(True, protocol)
        self.addCleanup(world.end)
        self.patch(fast_loop, "LOSSES_PER_TURN", FEW)
        self.patch(fast_loop, "NEWCOMERS_PER_TURN", FEW)
        self.now, self.step = 0.0, 0.0
        self.waits: list[float] = []
        loop: Any = world.reactor.doIteration
        loop._clock = self.clock
        poll = loop._poll

        def waited(timeout: float, count: int) -> Any:
            self.waits.append(timeout)
            return poll(timeout, count)

        loop._poll = waited
        return world

    def clock(self) -> float:
        self.now += self.step
        return self.now

    def peers(self, world: World, count: int, *, settled: bool) -> list[socket.socket]:
        peers = [world.connect() for _ in range(count)]
        if settled:
            for protocol in world.protocols[-count:]:
                settle(protocol.transport)
        for peer in peers:
            self.addCleanup(peer.close)
        return peers

    def turn(self, world: World) -> list[Any]:
        """What is told in one turn that finds all that the kernel has."""
        before = len(world.told)
        world.reactor.runUntilCurrent()
        world.reactor.doIteration(0.01)
        return world.told[before:]

    def all_ready(self, world: World, count: int) -> None:
        """Waits until the kernel has something for so many."""
        for _ in range(ROUNDS):
            with select.epoll() as asked:
                transports: list[Any] = [protocol.transport for protocol in world.protocols]
                for transport in transports:
                    if transport.fileno() != -1:
                        asked.register(transport.fileno(), select.EPOLLIN)
                if len(asked.poll(0.01)) >= count:
                    return
        raise AssertionError("nothing came")

    def gone(self, world: World, count: int) -> None:
        """So many, of whose end the kernel knows and the reactor does not yet."""
        for peer in self.peers(world, count, settled=True):
            peer.close()
        self.all_ready(world, count)

    def test_ends_are_told_a_few_a_turn_and_none_is_forgotten(self) -> None:
        world = self.world()
        self.gone(world, 3 * FEW - 1)
        turns = [self.turn(world)]
        self.assertFalse([one for one in world.reactor.getReaders() if isinstance(one, FastServer)])
        turns += [self.turn(world) for _ in range(3)]
        self.assertEqual([len(told) for told in turns], [FEW, FEW, FEW - 1, 0])
        self.assertEqual(set(world.told), {"ConnectionDone"})
        # Nothing is waited for while some are to be told.
        self.assertEqual(self.waits[-4:], [0.01, 0, 0, 0.01])

    def test_time_counts_too(self) -> None:
        world = self.world()
        peers = self.peers(world, 4, settled=True)
        self.step = 1.0
        for peer in peers[:2]:
            peer.close()
        self.all_ready(world, 2)
        self.assertEqual([len(self.turn(world)) for _ in range(3)], [1, 1, 0])
        for protocol in world.protocols:
            protocol.transport.settled = False  # type: ignore[union-attr]
        for peer in peers[2:]:
            peer.sendall(b"x")
        self.all_ready(world, 2)
        self.assertEqual([len(self.turn(world)) for _ in range(3)], [1, 1, 0])

    def test_what_came_before_the_end_is_read_first(self) -> None:
        world = self.world()
        peers = self.peers(world, 2 * FEW, settled=True)
        for peer in peers:
            peer.sendall(b"last")
            peer.close()
        world.until(lambda: len(world.told) == 4 * FEW)
        self.assertEqual(world.told[: 2 * FEW], [b"last"] * 2 * FEW)

    def test_who_is_lost_by_another_way_is_not_lost_again(self) -> None:
        world = self.world()
        self.gone(world, 3 * FEW)
        self.assertEqual(len(self.turn(world)), FEW)
        waiting = [protocol.transport for protocol in world.protocols if protocol.transport.connected]  # type: ignore[union-attr]
        aborted, closed = waiting[-1], waiting[-2]
        aborted.abortConnection()  # type: ignore[union-attr]
        closed.loseConnection()  # type: ignore[union-attr]
        world.until(lambda: len(world.told) == 3 * FEW)
        for _ in range(3):
            self.assertEqual(self.turn(world), [])
        self.assertEqual(Counter(world.told), {"ConnectionDone": 3 * FEW - 1, "ConnectionAborted": 1})

    def test_who_is_not_read_any_more_hears_of_no_end(self) -> None:
        world = self.world()
        self.gone(world, 2 * FEW)
        self.turn(world)
        waiting: list[Any] = [one.transport for one in world.protocols if one.transport.connected]  # type: ignore[union-attr]
        waiting[0].pauseProducing()
        waiting[1].resumeProducing()  # which is read already: it is found again, and told once
        for _ in range(4):
            self.turn(world)
        self.assertEqual(len(world.told), 2 * FEW - 1)
        waiting[0].resumeProducing()
        world.until(lambda: len(world.told) == 2 * FEW)
        self.assertEqual(set(world.told), {"ConnectionDone"})

    def test_half_closed_ones(self) -> None:
        world = self.world(HalfWitness)
        peers = self.peers(world, 2 * FEW, settled=True)
        for peer in peers:
            peer.shutdown(socket.SHUT_WR)
        self.all_ready(world, len(peers))
        self.assertEqual(self.turn(world), ["no more"] * FEW)
        world.until(lambda: len(world.told) == 4 * FEW)
        self.assertEqual(Counter(world.told), {"no more": 2 * FEW, "ConnectionDone": 2 * FEW})

    def test_whose_end_waits_hears_of_it_before_a_reset(self) -> None:
        world = self.world(HalfWitness)
        self.gone(world, 10 * FEW)  # what is written from now on is answered with a reset
        self.turn(world)
        for _ in range(40):
            for protocol in world.protocols:
                transport: Any = protocol.transport
                if transport.connected and not transport.disconnecting:
                    transport.writeSomeData(b"y")
                    transport.write(b"z")
            self.turn(world)
        self.assertEqual(world.told.count("no more"), 10 * FEW)
        self.assertEqual(len(world.told), 20 * FEW)

    def test_resets(self) -> None:
        world = self.world(HalfWitness)
        peers = self.peers(world, 2 * FEW, settled=True)
        for peer in peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
        self.all_ready(world, len(peers))
        self.assertEqual([self.turn(world) for _ in range(2)], [["ConnectionLost"] * FEW] * 2)

    def test_resets_of_those_who_did_not_read(self) -> None:
        world = self.world()
        peers = self.peers(world, 2 * FEW + 1, settled=True)
        for protocol in world.protocols:
            transport: Any = protocol.transport
            transport.pauseProducing()
            transport.write(b"x" * 6_000_000)
        for _ in range(3):
            self.turn(world)
        for peer in peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
        turns = []
        while len(world.told) < len(peers):
            turns.append(self.turn(world))
        self.assertTrue(all(len(told) <= FEW for told in turns), turns)
        self.assertEqual(set(world.told), {"ConnectionLost"})

    def test_newcomers_are_read_a_few_a_turn_behind_those_who_are_there(self) -> None:
        world = self.world()
        new = self.peers(world, 3 * FEW, settled=False)
        old = self.peers(world, 3 * FEW, settled=True)
        for peer in new:
            peer.sendall(b"new")
        for peer in old:
            peer.sendall(b"old")
        self.all_ready(world, 6 * FEW)
        self.assertEqual(self.turn(world), [b"old"] * 3 * FEW + [b"new"] * FEW)
        self.assertEqual([self.turn(world) for _ in range(3)], [[b"new"] * FEW, [b"new"] * FEW, []])

    def test_where_many_are_not_settled_turns_are_shorter(self) -> None:
        world = self.world()
        self.patch(fast_loop, "CROWD", 2 * FEW)
        self.patch(fast_loop, "NEWCOMERS_SECONDS", 8.0)
        self.patch(fast_loop, "CROWD_SECONDS", 1.0)
        for peer in self.peers(world, 2 * FEW, settled=False):
            peer.sendall(b"new")
        self.all_ready(world, 2 * FEW)
        self.step = 1.0
        turns = [len(self.turn(world)) for _ in range(2)]
        for protocol in world.protocols[:2]:
            settle(protocol.transport)
        turns += [len(self.turn(world)) for _ in range(3)]
        self.assertEqual(turns, [1, 1, FEW, 1, 0])

    def test_who_is_not_settled_is_counted(self) -> None:
        world = self.world()
        loop: Any = world.reactor.doIteration
        peers = self.peers(world, 3, settled=False)
        self.assertEqual(loop.strangers, 3)
        for _ in range(2):
            settle(world.protocols[0].transport)
        self.assertEqual(loop.strangers, 2)
        for peer in peers:
            peer.close()
        world.until(lambda: len(world.told) == 3)
        self.assertEqual(loop.strangers, 0)

    def test_it_gives_way_where_many_come_and_shortly_after(self) -> None:
        world = self.world()
        self.patch(fast_loop, "CROWD", 2 * FEW)
        self.patch(fast_loop, "RESTLESS_TURNS", 5)
        given: list[float] = []
        world.reactor.doIteration._give_way = given.append
        for count in (2 * FEW - 1, 1):
            self.assertEqual(given, [])
            for peer in self.peers(world, count, settled=False):
                peer.sendall(b"x")
            self.all_ready(world, count)
            for _ in range(10):
                self.turn(world)
        self.assertEqual(given, [fast_loop.GIVEN_SECONDS] * 5)
        self.gone(world, 3 * FEW)
        for _ in range(10):
            self.turn(world)
        # For ends, too: in two turns 2 * FEW of them wait.
        self.assertEqual(len(given), 5 + 1 + 5)

    def test_where_too_many_wait_others_are_not_accepted_yet(self) -> None:
        world = self.world()
        self.patch(fast_loop, "FULL", FEW)
        pace(world.port, Newcomers(Clock()))
        for peer in self.peers(world, 3 * FEW, settled=False):
            peer.sendall(b"x")
        self.all_ready(world, 3 * FEW)
        self.turn(world)
        late = socket.create_connection(("127.0.0.1", world.port.getHost().port), 30)
        self.addCleanup(late.close)
        with select.epoll() as asked:
            asked.register(world.port.fileno(), select.EPOLLIN)
            self.assertTrue(asked.poll(30))
        accepted = []
        for _ in range(4):
            accepted.append(len(world.protocols) - 3 * FEW)
            self.turn(world)
        self.assertEqual(accepted, [0, 0, 0, 1])

    def test_where_they_are_never_done_one_is_accepted_now_and_then(self) -> None:
        world = self.world()
        self.patch(fast_loop, "FULL", FEW)
        pace(world.port, Newcomers(Clock()))
        greedy = self.peers(world, 3 * FEW, settled=False)
        for peer in greedy:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(3):
            late = socket.create_connection(("127.0.0.1", world.port.getHost().port), 30)
            self.addCleanup(late.close)
        accepted = []
        for _ in range(2 * TURNS_FOR_ONE):
            for peer in greedy:
                peer.sendall(b"g")
            self.all_ready(world, 3 * FEW)
            self.turn(world)
            accepted.append(len(world.protocols) - 3 * FEW)
        # The first turn does not know yet how many wait.
        self.assertEqual([accepted.count(number) for number in (1, 2, 3)], [TURNS_FOR_ONE, TURNS_FOR_ONE, 0])

    def test_few_newcomers_are_read_in_the_order_in_which_they_speak(self) -> None:
        for order in ([2, 0, 1], [1, 0, 2], [0, 2, 1]):
            world = self.world()
            peers = self.peers(world, FEW, settled=False)
            for number in order:
                peers[number].sendall(b"%d" % number)
                self.all_ready(world, order.index(number) + 1)
            self.assertEqual(self.turn(world), [b"%d" % number for number in order])

    def test_newcomers_for_whom_there_was_no_time_are_the_first_of_the_next_turn(self) -> None:
        world = self.world()
        peers = self.peers(world, 3, settled=False)
        self.step = 1.0
        heard = []
        for _ in range(3):
            for number, peer in enumerate(peers):
                peer.sendall(b"%d" % number)
            self.all_ready(world, 3)
            heard += [told[:1] for told in self.turn(world)]
        self.assertEqual(sorted(heard), [b"0", b"1", b"2"])

    def test_who_never_stops_does_not_keep_a_newcomer_waiting(self) -> None:
        world = self.world()
        greedy = self.peers(world, 3 * FEW, settled=False)
        modest = self.peers(world, FEW, settled=False)
        for peer in modest:
            peer.sendall(b"modest")
        heard: list[bytes] = []
        for _ in range(4 + 1):
            for peer in greedy:
                peer.sendall(b"g")
            self.all_ready(world, 3 * FEW)
            told = self.turn(world)
            self.assertEqual(len(told), FEW, told)
            heard += told
        self.assertEqual(heard.count(b"modest"), FEW)

    def test_newcomers_do_not_wait_for_those_who_are_there(self) -> None:
        world = self.world()
        old = self.peers(world, 3 * FEW, settled=True)
        new = self.peers(world, 2 * FEW, settled=False)
        for peer in new:
            peer.sendall(b"new")
        for _ in range(2):
            for peer in old:
                peer.sendall(b"o")
            self.all_ready(world, 3 * FEW)
            self.assertEqual(self.turn(world).count(b"new"), FEW)

    def test_who_is_closed_by_what_came_before_is_not_read(self) -> None:
        world = self.world()
        old, new = self.peers(world, 1, settled=True) + self.peers(world, 1, settled=False)
        stranger: Any = world.protocols[1].transport

        def stop(data: bytes) -> None:
            stranger.pauseProducing()
            world.reactor.addWriter(stranger)  # so that the kernel still is asked about it

        self.patch(world.protocols[0], "dataReceived", stop)
        old.sendall(b"x")
        new.sendall(b"y")
        self.all_ready(world, 2)
        self.assertEqual([self.turn(world) for _ in range(2)], [[], []])

    def waiting(self, world: World) -> tuple[list[socket.socket], list[Any]]:
        """Newcomers of whom all were read but the last two, for the second turn now; peers and transports."""
        peers = self.peers(world, 2 * FEW + 2, settled=False)
        for number, peer in enumerate(peers):
            peer.sendall(b"%d" % number)
            self.all_ready(world, number + 1)
        transports: list[Any] = [protocol.transport for protocol in world.protocols]
        self.assertEqual(self.turn(world), [b"0", b"1", b"2"])
        # Most have their turn in the next one: that is not worth a call to the kernel.
        self.assertTrue(all(one in world.reactor.getReaders() for one in transports))
        self.assertEqual(self.turn(world), [b"3", b"4", b"5"])
        asked = [one in world.reactor.getReaders() for one in transports]
        self.assertEqual(asked, [True] * 2 * FEW + [False] * 2)
        return peers, transports

    def test_the_kernel_is_not_asked_about_those_who_wait(self) -> None:
        world = self.world()
        _, transports = self.waiting(world)
        self.assertEqual(self.turn(world), [b"6", b"7"])
        self.assertEqual(self.waits[-1], 0)
        self.assertTrue(all(one in world.reactor.getReaders() for one in transports))
        self.assertEqual(self.turn(world), [])
        self.turn(world)
        self.assertEqual(self.waits[-1], 0.01)

    def test_who_logs_in_waits_no_longer(self) -> None:
        world = self.world()
        peers, transports = self.waiting(world)
        peers[0].sendall(b"0")
        transports[7].settle()
        self.all_ready(world, 3)
        self.assertEqual(self.turn(world)[0], b"7")

    def test_who_waits_and_is_stopped_is_not_read(self) -> None:
        world = self.world()
        _, transports = self.waiting(world)
        transports[6].pauseProducing()
        transports[7].abortConnection()
        self.assertEqual([self.turn(world) for _ in range(2)], [["ConnectionAborted"], []])
        transports[6].resumeProducing()
        self.assertEqual(self.turn(world), [b"6"])

    def test_what_those_said_who_wait_comes_before_their_end(self) -> None:
        world = self.world()
        peers, transports = self.waiting(world)
        for transport in transports:
            world.reactor.addWriter(transport)  # so that the kernel is asked about them all the same
        for peer in peers[2 * FEW :]:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
        told = [one for _ in range(6) for one in self.turn(world)]
        # After an end nothing is told any more.
        self.assertEqual(Counter(told), {b"6": 1, b"7": 1, "ConnectionLost": 2})

    def test_of_those_who_also_write_likewise(self) -> None:
        world = self.world()
        peers = self.peers(world, 2 * FEW + 1, settled=False)
        for peer in peers:
            peer.sendall(b"x")
        self.all_ready(world, len(peers))
        transports: list[Any] = [protocol.transport for protocol in world.protocols]
        turns = []
        for _ in range(3):
            for transport in transports:
                world.reactor.addWriter(transport)
            told = len(self.turn(world))
            unasked = [one in world.reactor.getReaders() for one in transports].count(False)
            turns.append((told, unasked))
        self.assertEqual(turns, [(FEW, 0), (FEW, 1), (1, 0)])

    def test_what_is_wrapped_is_settled_below(self) -> None:
        below = mock.Mock(spec=["settle"])
        settle(mock.Mock(spec=["transport"], transport=mock.Mock(spec=["transport"], transport=below)))
        below.settle.assert_called_once_with()
        settle(object())


class Writing(SynchronousTestCase):
    """What is written through the transport goes out with the turn; the kernel is asked where it must be."""

    def setUp(self) -> None:
        self.world = World(True)
        self.addCleanup(self.world.end)
        self.added: list[Any] = []
        add = self.world.reactor.addWriter

        def noted(writer: Any) -> None:
            self.added.append(writer)
            add(writer)

        self.patch(self.world.reactor, "addWriter", noted)

    def peer(self) -> tuple[socket.socket, Any]:
        peer = self.world.connect()
        self.addCleanup(peer.close)
        peer.settimeout(30)
        return peer, self.world.protocols[-1].transport

    def turn(self) -> None:
        self.world.reactor.runUntilCurrent()
        self.world.reactor.doIteration(0)

    def test_an_answer_is_written_in_the_turn_of_its_question(self) -> None:
        peer, transport = self.peer()
        peer.sendall(b"question")
        with select.epoll() as asked:
            asked.register(transport.fileno(), select.EPOLLIN)
            self.assertTrue(asked.poll(30))
        self.turn()
        self.assertEqual(peer.recv(99), b"question")
        self.assertEqual(self.added, [])

    def test_what_a_timer_writes_does_not_wait_for_the_poll(self) -> None:
        peer, transport = self.peer()
        loop: Any = self.world.reactor.doIteration
        waits: list[float] = []
        poll = loop._poll

        def waited(timeout: float, count: int) -> Any:
            waits.append(timeout)
            return poll(0, count)

        loop._poll = waited
        transport.writeSequence([b"a", b"b"])
        transport.write(b"c")
        loop(None)
        self.assertEqual(peer.recv(99), b"abc")
        # Whoever was told that it was written may have called for something to be done later.
        self.assertEqual(waits, [0])
        loop(None)
        self.assertEqual((waits, self.added), ([0, -1], []))

    def test_what_threads_have_done_goes_before_what_is_read_and_keeps_nobody_out(self) -> None:
        peer, transport = self.peer()
        world, loop = self.world, self.world.reactor.doIteration
        world.told.clear()
        peer.sendall(b"read")
        select.select([transport], [], [], 30)
        for told in ([], [b"read"]):  # there always is something
            world.reactor.callFromThread(world.told.append, "done")
            loop(0)
            self.assertEqual(world.told, told)
        world.reactor.runUntilCurrent()
        self.assertEqual(world.told, [b"read", "done", "done"])

    def test_who_was_aborted_is_not_read_whatever_happens_then(self) -> None:
        peer, transport = self.peer()
        self.world.told.clear()
        peer.sendall(b"too late")
        select.select([transport], [], [], 30)
        transport.abortConnection()
        transport.write(b"x")
        transport.resumeProducing()
        self.world.reactor.doIteration(0)
        self.assertEqual(self.world.told, [])
        self.turn()
        self.assertEqual(self.world.told, ["ConnectionAborted"])

    def test_what_the_kernel_does_not_take_waits_for_it(self) -> None:
        peer, transport = self.peer()
        transport.write(b"x" * 9_000_000)
        self.turn()
        self.assertEqual(self.added, [transport])
        transport.write(b"y")
        self.assertEqual(self.vain(), [])
        self.assertEqual(len(self.world.hear(peer, 9_000_001)), 9_000_001)
        self.turn()
        self.assertNotIn(transport, self.world.reactor.getWriters())

    def vain(self) -> list[Any]:
        """Who would be written to although the kernel is asked already."""
        return [one for one in self.world.reactor.doIteration._writing if one in self.added]

    def test_where_the_kernel_is_to_be_asked_first_it_is(self) -> None:
        _, transport = self.peer()
        transport.asks_first = True
        transport.write(b"x")
        self.assertEqual((self.added, self.vain()), ([transport], []))
        _, pulled = self.peer()
        producer = mock.Mock(spec=["resumeProducing", "stopProducing"])
        for streaming in (True, False):
            self.added.clear()
            pulled.registerProducer(producer, streaming)
            pulled.write(b"x")
            self.assertEqual(self.added, [] if streaming else [pulled])
            self.turn()
            pulled.unregisterProducer()

    def test_who_says_nothing_more_is_closed_and_not_only_half(self) -> None:
        self.world.end()
        self.world = World(True, HalfWitness)
        self.addCleanup(self.world.end)
        peer, transport = self.peer()
        transport.write(b"x")
        transport.loseConnection()
        self.world.until(lambda: self.world.told)
        self.assertEqual((self.world.told, peer.recv(9)), (["ConnectionDone"], b"x"))

    def test_who_is_not_read_is_asked_about_as_ever(self) -> None:
        peer, transport = self.peer()
        transport.pauseProducing()
        transport.write(b"x")
        self.assertEqual(self.added, [transport])
        self.turn()
        self.assertEqual(peer.recv(9), b"x")
        transport.resumeProducing()
        transport.write(b"last")
        transport.loseConnection()
        self.world.until(lambda: self.world.told)
        self.assertEqual((peer.recv(9), peer.recv(9)), (b"last", b""))

    def test_who_is_gone_by_then_is_not_written_to(self) -> None:
        peer, transport = self.peer()
        transport.write(b"x")
        transport.abortConnection()
        self.turn()
        self.turn()
        self.assertRaises(ConnectionResetError, peer.recv, 9)
        self.assertEqual((self.world.told, self.added), (["ConnectionAborted"], []))

    def test_who_is_closed_by_what_came_before_is_not_written_to(self) -> None:
        first, second = self.peer()[1], self.peer()[1]
        write = first.doWrite

        def both() -> Any:
            second.connectionLost(failure.Failure(ConnectionAborted()))
            return write()

        self.patch(first, "doWrite", both)
        for transport in (first, second):
            transport.write(b"x")
        self.turn()
        self.assertEqual((self.world.told, self.added), (["ConnectionAborted"], []))

    def test_who_does_not_hear_any_more_is_lost(self) -> None:
        _, transport = self.peer()
        ours, theirs = socket.socketpair()
        theirs.close()
        self.addCleanup(ours.close)
        with transport.socket:
            transport.socket = ours
            transport.write(b"x")
            self.turn()
        self.assertEqual((self.world.told, self.added), (["ConnectionLost"], []))
        self.assertFalse(transport.connected)

    def test_what_fails_is_logged_and_closed(self) -> None:
        _, transport = self.peer()
        other, goes_on = self.peer()

        def crash() -> None:
            raise ZeroDivisionError

        self.patch(transport, "doWrite", crash)
        for one in (transport, goes_on):
            one.write(b"x")
        self.turn()
        self.assertEqual(other.recv(9), b"x")
        self.assertEqual(self.world.told, ["ZeroDivisionError"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_producer_goes_on_when_it_was_written(self) -> None:
        peer, transport = self.peer()
        pieces = [b"a" * 100_000, b"b" * 100_000]

        class Pieces:
            def resumeProducing(self) -> None:
                if pieces:
                    transport.write(pieces.pop(0))
                else:
                    transport.unregisterProducer()
                    transport.loseConnection()

            def stopProducing(self) -> None:
                """See IPullProducer."""

        transport.registerProducer(Pieces(), False)
        self.assertEqual(self.world.hear(peer, 200_000), b"a" * 100_000 + b"b" * 100_000)
        self.world.until(lambda: self.world.told)
        self.assertEqual(self.world.told, ["ConnectionDone"])


class Fault(SynchronousTestCase):
    def fault(self, reactor: Any = None) -> str:
        world = World(False)
        self.addCleanup(world.end)
        return fast_transport.fault(world.reactor if reactor is None else reactor)

    def test_there_is_none_here(self) -> None:
        self.assertEqual(self.fault(), "")

    def test_another_reactor(self) -> None:
        self.assertEqual(self.fault(object()), "the reactor is object")
        self.assertIn("SelectReactor", self.fault(SelectReactor.__new__(SelectReactor)))

    def test_another_way_to_read(self) -> None:
        def doRead(self: Any) -> Any:
            return self.socket.recvmsg(self.bufferSize)

        replaced = dict(fast_transport._KNOWN)
        replaced[doRead] = replaced.pop(tcp.Connection.doRead)
        with mock.patch.object(fast_transport, "_KNOWN", replaced):
            self.assertIn("doRead is not the one that is known", self.fault())

    def test_another_kind_of_connection(self) -> None:
        with mock.patch.object(tcp.Port, "transport", FastServer):
            self.assertEqual(self.fault(), "ports have connections of another kind")

    def test_another_loop(self) -> None:
        world = World(True)
        self.addCleanup(world.end)
        self.assertIsInstance(world.reactor.doIteration, FastLoop)
        self.assertIn("loop", fast_transport.fault(world.reactor))
