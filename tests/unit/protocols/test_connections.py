"""How many connections may be open."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.connections import ConnectionCounter
from tests.unit.protocols.stub import LinePeer, StubHub, doors


class Counts(SynchronousTestCase):
    """ConnectionCounter, and the listeners that ask it."""

    def test_strangers_are_counted_by_address(self) -> None:
        counter = ConnectionCounter(100, 2)
        first = counter.admit("a")
        self.assertIsNotNone(first)
        self.assertIsNotNone(counter.admit("a"))
        self.assertIsNone(counter.admit("a"))
        self.assertIsNotNone(counter.admit("b"))
        assert first is not None
        first.authenticated()
        first.authenticated()
        self.assertEqual(counter.unauthenticated("a"), 1)
        self.assertIsNotNone(counter.admit("a"))
        self.assertEqual((counter.total, counter.refused), (4, 1))

    def test_everything_is_given_back_once(self) -> None:
        counter = ConnectionCounter(2, 2)
        first, second = counter.admit("a"), counter.admit("a")
        assert first is not None
        assert second is not None
        second.authenticated()
        for admission in (first, second, first, second):
            admission.release()
        self.assertEqual((counter.total, counter.unauthenticated("a")), (0, 0))

    def test_a_proxys_connection_becomes_its_clients(self) -> None:
        counter = ConnectionCounter(0, 2)
        behind = [counter.admit("proxy", proxy=True) for _ in range(5)]
        assert all(behind)
        moved = [admission.move("client") for admission in behind if admission is not None]
        self.assertEqual(moved, [True, True, False, False, False])
        self.assertEqual((counter.unauthenticated("proxy"), counter.unauthenticated("client")), (3, 2))
        first = behind[0]
        assert first is not None
        self.assertEqual(first.address, "client")
        self.assertTrue(first.move("client"))
        first.authenticated()
        self.assertTrue(first.move("another"))
        self.assertEqual(counter.unauthenticated("another"), 0)
        for admission in behind:
            assert admission is not None
            admission.release()
        self.assertEqual((counter.total, counter.strangers, counter.refused), (0, 0, 3))

    def test_zero_means_no_limit(self) -> None:
        counter = ConnectionCounter(0, 0)
        self.assertTrue(all(counter.admit("a") for _ in range(2000)))

    def test_the_excess_is_closed_at_accept(self) -> None:
        house = doors(StubHub(), unauthenticated_per_address=1, connections=3)
        first = LinePeer(house)
        self.assertFalse(LinePeer(house).admitted)
        first.say("login#1 alice")
        self.assertTrue(LinePeer(house).admitted)
        self.assertTrue(LinePeer(house, host="192.0.2.2").admitted)
        self.assertFalse(LinePeer(house, host="192.0.2.3").admitted)
        first.lose()
        self.assertTrue(LinePeer(house, host="192.0.2.3").admitted)
