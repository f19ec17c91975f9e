"""The scheduler and the pipes, on their own."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.network import Connection, Manner, Poller
from tests.simulation.world import Realm, StandstillError, World

ADDRESS = IPv4Address("TCP", "127.0.0.1", 1)


class WorldTests(SynchronousTestCase):
    """Time and the order of events."""

    def order(self, seed: int) -> list[int]:
        """The order of ten events that are due at once."""
        world, seen = World(seed), list[int]()
        for number in range(10):
            world.later(1.0, seen.append, number)
        world.run(2.0)
        return seen

    def test_seed_decides_ties(self) -> None:
        """One seed, one order; another seed, another order."""
        self.assertEqual(self.order(1), self.order(1))
        self.assertNotEqual(self.order(1), self.order(2))
        self.assertEqual(sorted(self.order(1)), list(range(10)))

    def test_dead_realm_does_nothing(self) -> None:
        """What a process had planned dies with it, and what it still plans, too."""
        world, seen = World(1), list[str]()
        realm = Realm(world, "node")
        realm.callLater(1.0, seen.append, "before")
        realm.callFromThread(seen.append, "thread")
        realm.kill()
        realm.callLater(1.0, seen.append, "after")
        world.run(5.0)
        self.assertEqual((seen, world.now), ([], 5.0))

    def test_realm_that_stands_still(self) -> None:
        """Does later, and in order, what became due meanwhile; what was called off stays so."""
        world, seen = World(1), list[tuple[int, float]]()
        realm = Realm(world, "node")

        def see(number: int) -> None:
            seen.append((number, round(world.now, 3)))

        calls = [realm.callLater(delay, see, number) for number, delay in enumerate((3.0, 1.0, 2.0, 9.0))]
        realm.stop()
        world.run(4.0)
        self.assertEqual([], seen)
        calls[2].cancel()
        realm.go_on()
        world.run(10.0)
        self.assertEqual([(1, 4.0), (0, 4.0), (3, 9.0)], seen)

    def test_threads_speak_in_order(self) -> None:
        """As with callFromThread of a reactor."""
        world, seen = World(1), list[int]()
        realm = Realm(world, "node")
        for number in range(5):
            realm.callFromThread(seen.append, number)
        world.run(1.0)
        self.assertEqual(seen, [0, 1, 2, 3, 4])

    def test_loop_without_waiting(self) -> None:
        """Is noticed instead of running for ever."""
        world = World(1)

        def again() -> None:
            world.later(0, again)

        again()
        with self.assertRaises(StandstillError):
            world.run(1.0)


class Collector(Protocol):
    """Remembers what it received."""

    def __init__(self) -> None:
        self.received = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.reason = reason


class NetworkTests(SynchronousTestCase):
    """The pipes."""

    def connect(self, seed: int = 1) -> None:
        """A connection with small pieces and a small window."""
        self.world = World(seed)
        self.poller = Poller(self.world, "node")
        self.heard = b""
        self.lost = 0
        self.protocol = Collector()
        manner = Manner(latency=0.1, piece=1, window=100)
        self.connection = Connection(self.world, self.poller, manner, self.hear, self.lose, lambda: None)
        self.connection.accept(self.protocol, ADDRESS, ADDRESS)

    def hear(self, data: bytes) -> None:
        """The client's ear."""
        self.heard += data

    def lose(self) -> None:
        """The client knows that it is over."""
        self.lost += 1

    def test_bytes_keep_their_order(self) -> None:
        """In both directions, through windows smaller than what is written."""
        self.connect()
        data = bytes(range(256)) * 20
        self.connection.write(data)
        assert self.protocol.transport is not None
        self.protocol.transport.write(data)
        self.world.run(100.0)
        self.assertEqual((self.protocol.received, self.heard), (data, data))

    def test_reader_that_does_not_read(self) -> None:
        """Holds the server's bytes back until it reads again."""
        self.connect()
        self.connection.down.pause()
        assert self.protocol.transport is not None
        self.protocol.transport.write(b"x" * 1000)
        self.world.run(10.0)
        self.assertEqual((self.heard, len(self.connection.down)), (b"", 100))
        self.connection.down.resume()
        self.world.run(100.0)
        self.assertEqual(self.heard, b"x" * 1000)

    def test_good_end(self) -> None:
        """What was written before the end still arrives."""
        self.connect()
        assert self.protocol.transport is not None
        self.protocol.transport.write(b"goodbye" * 50)
        self.protocol.transport.loseConnection()
        self.world.run(100.0)
        self.assertEqual((self.heard, self.lost), (b"goodbye" * 50, 1))
        self.assertIsNotNone(self.protocol.reason)

    def test_cut(self) -> None:
        """Loses a tail, never the middle, and both sides hear of it."""
        lengths = set()
        for seed in range(20):
            self.connect(seed)
            self.connection.write(b"0123456789")
            self.connection.cut(5.0, 6.0)
            self.world.run(20.0)
            self.assertTrue(b"0123456789".startswith(self.protocol.received))
            self.assertEqual(self.lost, 1)
            self.assertIsNotNone(self.protocol.reason)
            lengths.add(len(self.protocol.received))
        self.assertGreater(len(lengths), 3)

    def test_dead_server_says_nothing(self) -> None:
        """What it writes after its death reaches nobody."""
        self.connect()
        self.poller.kill()
        self.connection.crashed(1.0)
        assert self.protocol.transport is not None
        self.protocol.transport.write(b"from the grave")
        self.world.run(10.0)
        self.assertEqual((self.heard, self.lost, self.protocol.reason), (b"", 1, None))
