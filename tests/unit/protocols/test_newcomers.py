"""First frames take turns: thousands who come at once do not keep those waiting who are there."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.doors import NEWCOMERS_PER_TURN
from tests.unit.protocols.stub import LinePeer, StubHub, doors


class Newcomers(SynchronousTestCase):
    def setUp(self) -> None:
        self.doors = doors(StubHub())
        old = LinePeer(self.doors)
        old.say("login#1 alice")
        self.assertEqual(old.heard(), ["login#1 alice"])
        self.old = old
        self.crowd = [LinePeer(self.doors) for _ in range(2 * NEWCOMERS_PER_TURN)]

    def test_a_few_are_read_in_one_turn_the_others_in_the_next(self) -> None:
        for peer in self.crowd:
            peer.say("login#1 bob", "groups#2")
        first, rest = self.crowd[:NEWCOMERS_PER_TURN], self.crowd[NEWCOMERS_PER_TURN:]
        self.assertTrue(all(peer.codec.decoded for peer in first))
        self.assertFalse(any(peer.codec.decoded for peer in rest))
        self.old.say("groups#3")  # who is there does not wait
        self.assertEqual(self.old.codec.decoded[-1], b"groups#3")
        for peer in self.crowd:
            self.assertEqual(peer.heard(), ["login#1 bob", "groups#2 ok"])

    def test_who_said_the_last_word_already_is_heard_out(self) -> None:
        for peer in self.crowd:
            peer.say("login#1 bob")
            peer.end_input()
        self.assertEqual(self.crowd[-1].heard(), ["login#1 bob"])

    def test_who_is_gone_meanwhile_costs_nothing(self) -> None:
        for peer in self.crowd:
            peer.say("login#1 bob")
        last = self.crowd[-1]
        last.lose()
        last.heard()
        self.assertEqual(last.codec.decoded, [])
