"""Calls over several nodes, in many orders in which the same things may arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallError,
    CallFault,
    CallIncoming,
    CallMedia,
    EndCall,
    Ending,
    Media,
    RejectCall,
    StartCall,
)
from tests.effort import effort
from tests.unit.services.call_machine import HeardPhone
from tests.unit.services.call_mutations import patched
from tests.unit.services.call_net import Net, Order
from tests.unit.services.call_witness import Witness
from tests.unit.services.call_world import ANSWER, OFFER, SETTINGS, Node, RecordingStore, ice, in_short
from tests.unit.services.world import Chance

ORDERS = effort(150, 3_000, 30_000)
NODES = ("n1", "n2", "n3")


class World:
    """Three nodes; each user's first session is at another one."""

    def __init__(self, seed: int) -> None:
        self.clock = Clock()
        self.net = Net(NODES)
        self.store = RecordingStore()
        self.witness = Witness()
        minting = Chance()
        self.nodes = [
            Node(bus, self.clock, self.store, {"ann", "bob", "cyd"}, chance=minting)
            for bus in self.net.buses.values()
        ]
        self.order = Order(seed)
        self.answers: list[Deferred[Any]] = []
        self.phones: list[HeardPhone] = []

    def phone(self, user: str, media: Media = Media.WEBRTC) -> HeardPhone:
        """A new live session."""
        count = len(self.phones)
        phone = HeardPhone(user, f"{user}{count}", media, self.nodes[count % 3], self.witness)
        self.phones.append(phone)
        phone.node.enter(phone)
        return phone

    def lose(self, phone: HeardPhone) -> None:
        """Its connection is lost."""
        self.phones.remove(phone)
        phone.node.leave(phone)
        self.witness.gone(phone.principal.session)

    def do(self, phone: HeardPhone, command: Any) -> Deferred[Any]:
        """A command; its answer comes when it comes."""
        if command.call:
            self.witness.commanded(phone.principal.session, command.call)
        answer = phone.node.handle(phone, command)
        self.answers.append(answer)
        return answer

    def call(self, phone: HeardPhone, callee: str, call: str = "c1") -> None:
        self.do(phone, StartCall(callee, False, call, OFFER))

    def some(self, most: int = 25) -> None:
        """A part of what is under way arrives."""
        for _ in range(self.order.below(most)):
            self.net.deliver(self.order)

    def settle(self) -> None:
        """All of it."""
        self.net.settle(self.order)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    def finish(self) -> None:
        """Time alone ends what there is; nothing is left, and everybody was told."""
        self.settle()
        for seconds in (SETTINGS.ring_seconds, SETTINGS.max_seconds, SETTINGS.max_seconds, 61.0, 61.0):
            self.pass_time(seconds)
        assert not self.net.slots, self.net.slots
        assert not self.clock.getDelayedCalls()
        for node in self.nodes:
            assert not node.failures, node.failures
        live = {phone.principal.session: phone.user for phone in self.phones}
        self.witness.finish(live, {}, self.store.records)
        for answer in self.answers:
            assert answer.called
            answer.addErrback(lambda failure: failure.trap(CallError))


Scenario = Callable[["Races", World], None]


class Races(SynchronousTestCase):
    def in_many_orders(self, scenario: Callable[[World], None]) -> None:
        for seed in range(ORDERS):
            world = World(seed)
            try:
                scenario(world)
                world.finish()
            except BaseException as error:
                raise AssertionError(f"order {seed}: {error!r}") from error

    def told(self, phone: HeardPhone) -> list[str]:
        return [in_short(event) for event in phone.take()]

    def done(self, world: World) -> None:
        """No command was refused."""
        for answer in world.answers:
            self.successResultOf(answer)
        world.answers.clear()

    def test_glare(self) -> None:
        """Exactly one of the two rings; the other one's caller hears that it was glare."""

        def scenario(world: World) -> None:
            ann, bob = world.phone("ann"), world.phone("bob")
            world.call(ann, "bob", "from-ann")
            world.some()
            world.call(bob, "ann", "from-bob")
            world.settle()
            self.done(world)
            one, other = (ann, bob) if self.told(bob)[:1] == ["incoming v=0 offer"] else (bob, ann)
            ended = [event for event in (*one.events, *other.events) if isinstance(event, CallEnded)]
            self.assertLessEqual(len(ended), 1)
            world.do(other, AnswerCall(f"from-{one.user}", ANSWER))
            world.settle()
            self.done(world)
            self.assertIn("answered v=0 answer", self.told(one))
            ears = world.witness.ears
            lost = ears[other.principal.session, f"from-{other.user}"].heard
            self.assertEqual(["ended busy (glare)"], [in_short(event) for event in lost])

        self.in_many_orders(scenario)

    def test_three_in_a_circle(self) -> None:
        """Somebody always gets through, and nobody twice."""

        def scenario(world: World) -> None:
            users = ("ann", "bob", "cyd")
            phones = [world.phone(user) for user in users]
            for phone, callee in zip(phones, ("bob", "cyd", "ann"), strict=True):
                world.call(phone, callee, f"to-{callee}")
            world.settle()
            heard = [self.told(phone) for phone in phones]
            self.assertEqual(1, sum("ringing" in events for events in heard), heard)
            self.assertEqual(1, sum("incoming v=0 offer" in events for events in heard), heard)
            self.assertEqual(2, sum("ended busy" in events for events in heard), heard)

        self.in_many_orders(scenario)

    def test_a_device_logs_in_while_it_is_called(self) -> None:
        """It rings there once, whenever that is."""

        def scenario(world: World) -> None:
            ann, _ = world.phone("ann"), world.phone("bob")
            world.call(ann, "bob")
            world.some(40)
            late = world.phone("bob")
            world.settle()
            self.assertEqual(["incoming v=0 offer"], self.told(late))

        self.in_many_orders(scenario)

    def test_a_device_goes_while_it_is_called(self) -> None:
        """It never holds the call; without it nobody may be there at all."""

        def scenario(world: World) -> None:
            ann, bob = world.phone("ann"), world.phone("bob")
            world.call(ann, "bob")
            world.some(40)
            world.lose(bob)
            world.settle()
            self.done(world)
            self.assertIn(self.told(ann), (["ringing"], ["ended offline"]))

        self.in_many_orders(scenario)

    def test_it_answers_and_goes(self) -> None:
        """A party that is gone is noticed, however the news cross."""

        def scenario(world: World) -> None:
            ann, bob = world.phone("ann"), world.phone("bob")
            world.call(ann, "bob")
            world.settle()
            world.do(bob, AnswerCall("c1", ANSWER))
            world.some(10)
            world.lose(bob)
            world.settle()
            world.pass_time(SETTINGS.grace_seconds)
            self.assertIn("ended lost", self.told(ann))

        self.in_many_orders(scenario)

    def test_the_caller_goes_while_it_calls(self) -> None:
        """Nobody rings longer than the grace for a caller that is gone."""

        def scenario(world: World) -> None:
            ann, bob = world.phone("ann"), world.phone("bob")
            world.call(ann, "bob")
            world.some(40)
            world.lose(ann)
            world.settle()
            world.pass_time(SETTINGS.grace_seconds)
            self.assertIn(self.told(bob), ([], ["incoming v=0 offer", "stopped lost"]))
            self.assertFalse([slot for slot in world.net.slots if slot.startswith("busy/")])

        self.in_many_orders(scenario)

    def test_two_devices_answer(self) -> None:
        def scenario(world: World) -> None:
            ann, first, second = world.phone("ann"), world.phone("bob"), world.phone("bob")
            world.call(ann, "bob")
            world.settle()
            world.do(first, AnswerCall("c1", b'{"sdp":"v=0 first"}'))
            world.do(second, AnswerCall("c1", b'{"sdp":"v=0 second"}'))
            world.settle()
            self.done(world)
            heard = {"first": self.told(first), "second": self.told(second)}
            (winner,) = [name for name, events in heard.items() if "accepted" in events]
            (loser,) = heard.keys() - {winner}
            self.assertIn("stopped elsewhere", heard[loser])
            self.assertEqual(["ringing", f"answered v=0 {winner}"], self.told(ann))

        self.in_many_orders(scenario)

    def test_the_answer_crosses_the_end(self) -> None:
        """Cancelled or hung up, but the same for both."""

        def scenario(world: World) -> None:
            ann, bob = world.phone("ann"), world.phone("bob")
            world.call(ann, "bob")
            world.settle()
            world.do(bob, AnswerCall("c1", ANSWER))
            world.do(ann, EndCall("c1"))
            world.settle()
            self.done(world)
            record = world.store.last("c1")
            answered = record.ending is Ending.HANGUP
            self.assertIn(record.ending, (Ending.HANGUP, Ending.CANCELLED))
            self.assertEqual(answered, any(isinstance(event, CallAccepted) for event in bob.events))
            self.assertEqual(answered, any(isinstance(event, CallAnswered) for event in ann.events))
            self.assertEqual(1, sum(isinstance(event, CallEnded) for event in ann.events))

        self.in_many_orders(scenario)

    def test_both_hang_up(self) -> None:
        def scenario(world: World) -> None:
            ann, bob = world.phone("ann"), world.phone("bob")
            world.call(ann, "bob")
            world.settle()
            world.do(bob, AnswerCall("c1", ANSWER))
            world.settle()
            for phone in (ann, bob):
                phone.take()
                world.do(phone, ice("c1"))
                world.do(phone, EndCall("c1"))
                world.do(phone, ice("c1"))
            world.settle()
            self.done(world)
            for phone in (ann, bob):
                self.assertEqual(1, sum(isinstance(event, CallEnded) for event in phone.events))

        self.in_many_orders(scenario)

    def test_rejected_and_answered(self) -> None:
        def scenario(world: World) -> None:
            ann, first, second = world.phone("ann"), world.phone("bob"), world.phone("bob")
            world.call(ann, "bob")
            world.settle()
            world.do(first, RejectCall("c1"))
            world.do(second, AnswerCall("c1", ANSWER))
            world.settle()
            self.done(world)
            ann_heard, answered = self.told(ann), "accepted" in self.told(second)
            self.assertIn("answered v=0 answer" if answered else "ended rejected by bob", ann_heard)
            self.assertNotIn("answered v=0 answer" if not answered else "ended rejected by bob", ann_heard)

        self.in_many_orders(scenario)

    def test_ended_from_elsewhere_while_it_is_being_decided(self) -> None:
        """The caller's other session cancels: it is too early, or it works; it is never refused."""

        def scenario(world: World) -> None:
            ann, bob, other = world.phone("ann"), world.phone("bob"), world.phone("ann")
            world.call(ann, "bob")
            world.some(20)
            world.do(other, EndCall())
            world.settle()
            self.done(world)
            heard = self.told(ann)
            self.assertIn(heard, (["ringing"], ["ringing", "ended cancelled by ann"]))
            self.assertEqual(len(heard), len(self.told(bob)))

        self.in_many_orders(scenario)

    def test_one_id_for_two_calls(self) -> None:
        """The second one that comes is refused, and leaves nothing behind."""

        def scenario(world: World) -> None:
            ann, bob, cyd = world.phone("ann"), world.phone("bob"), world.phone("cyd")
            first, second = (
                world.do(ann, StartCall("bob", False, "c1", OFFER)),
                world.do(cyd, StartCall("bob", False, "c1", OFFER)),
            )
            world.settle()
            winner, loser = (ann, cyd) if first.result is not None and _succeeded(first) else (cyd, ann)
            refused = second if winner is ann else first
            self.assertIs(CallFault.CALL_ID_IN_USE, self.failureResultOf(refused, CallError).value.fault)
            world.answers.remove(refused)
            self.assertEqual(["ringing"], self.told(winner))
            self.assertEqual([], self.told(loser))
            world.call(loser, "bob", "c2")
            world.settle()
            self.assertEqual(["ended busy"], self.told(loser))
            self.assertEqual([CallIncoming], [type(event) for event in bob.events])

        self.in_many_orders(scenario)

    def test_the_caller_returns_at_once(self) -> None:
        """Perhaps before anybody knows that it was away: then it is told so, and tries again."""

        def scenario(world: World) -> None:
            ann, bob = world.phone("ann"), world.phone("bob")
            world.call(ann, "bob")
            world.settle()
            world.do(bob, AnswerCall("c1", ANSWER))
            world.some(8)
            world.lose(ann)
            back = world.phone("ann")
            world.some(4)
            tried = world.do(back, ice("c1"))
            world.settle()
            if not _succeeded(tried):
                self.assertIs(CallFault.NOT_PARTICIPANT, self.failureResultOf(tried, CallError).value.fault)
                world.answers.remove(tried)
                world.do(back, ice("c1"))
                world.settle()
            world.pass_time(SETTINGS.grace_seconds)
            self.assertNotIn("ended lost", self.told(bob))
            world.do(bob, EndCall("c1"))
            world.settle()
            self.assertIn("ended hangup by bob", self.told(back))

        self.in_many_orders(scenario)

    def test_media_at_once(self) -> None:
        """Each side sends as soon as it hears of the answer; nobody gets media outside the call."""

        def scenario(world: World) -> None:
            ann, bob = world.phone("ann", Media.RELAY), world.phone("bob", Media.RELAY)

            def chatter(turns: int) -> None:
                for _ in range(turns):
                    world.net.deliver(world.order)
                    for phone in (ann, bob):
                        phone.node.calls.media(phone.principal.session, CallMedia(b"x"))

            world.do(ann, StartCall("bob", True, "c1"))
            world.settle()
            world.do(bob, AnswerCall("c1"))
            chatter(60)
            world.settle()
            chatter(1)
            world.settle()
            self.assertTrue(ann.pieces and bob.pieces)
            world.do(ann, EndCall("c1"))
            chatter(60)

        self.in_many_orders(scenario)


def _succeeded(answer: Deferred[Any]) -> bool:
    return not hasattr(answer.result, "trap")


CAUGHT = {
    "devices are counted before they are claimed": "test_a_device_logs_in_while_it_is_called",
    "what comes for a call that is being decided is unknown": "test_a_device_logs_in_while_it_is_called",
    "sessions lost while they ask are not reported": "test_the_caller_goes_while_it_calls",
    "lost sessions are not reported": "test_the_caller_goes_while_it_calls",
    "media arrives before the answer": "test_media_at_once",
    "media goes on after the end": "test_media_at_once",
    "offers of a pair are decided at the same time": "test_glare",
    "users are claimed in any order": "test_three_in_a_circle",
    "everybody gets a slot": "test_one_id_for_two_calls",
}
"""What is broken on purpose, and what notices it."""


class Broken(SynchronousTestCase):
    def test_races_notice_what_is_broken(self) -> None:
        for name, test in CAUGHT.items():
            with self.subTest(name=name), patched(name):
                races = Races(test)
                with self.assertRaises(AssertionError):
                    getattr(races, test)()
                self.flushLoggedErrors()
