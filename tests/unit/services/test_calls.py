"""The rules of calls (CONTRACT.md, 2 and 4), one node."""

from __future__ import annotations

from typing import Any

from imserver.model.call_records import CallRecord, ListCalls
from imserver.model.calls import (
    MAX_CALL_ID_BYTES,
    AnswerCall,
    CallEnded,
    CallFault,
    CallIncoming,
    CallMedia,
    CallQuality,
    EndCall,
    Ending,
    Media,
    RejectCall,
    Signal,
    SignalCall,
    StartCall,
)
from imserver.model.errors import ErrorCode
from imserver.services.call_media import PACKET_OVERHEAD
from imserver.services.call_records import RETRY_SECONDS, TRIES
from imserver.services.call_requests import busy_slot, call_slot
from imserver.services.calls import START_BURST, CallSettings
from tests.unit.services.call_world import ANSWER, OFFER, SETTINGS, CallCase, Phone, ice, status
from tests.unit.services.world import START

RING, GRACE = SETTINGS.ring_seconds, SETTINGS.grace_seconds


class Offers(CallCase):
    """Whether and where it rings."""

    def test_it_rings_at_every_device_that_can_take_it(self) -> None:
        alice = self.phone("alice")
        first, second = self.phone("bob"), self.phone("bob")
        others = [self.phone("bob", Media.RELAY), self.phone("bob", Media.NONE)]
        self.ring(alice, video=True)
        self.assertEqual(["ringing"], self.told(alice))
        for phone in (first, second):
            (incoming,) = phone.take()
            self.assertEqual(CallIncoming("c1", "alice", "bob", True, START, OFFER), incoming)
        self.assertEqual([[], []], [phone.events for phone in others])

    def test_nobody_there(self) -> None:
        alice = self.phone("alice")
        for callee, recorded in (("bob", True), ("nobody", False)):
            self.do(alice, StartCall(callee, False, f"to-{callee}"))
            self.assertEqual(["ended offline"], self.told(alice))
            self.assertEqual(recorded, any(r.call == f"to-{callee}" for r in self.store.records))
        self.assertTrue(self.store.last("to-bob").missed)

    def test_no_device_that_can(self) -> None:
        alice = self.phone("alice", Media.RELAY)
        for media in (Media.NONE, Media.WEBRTC):
            phone = self.phone("bob", media)
            self.do(alice, StartCall("bob", False))
            self.assertEqual(["ended no_device"], self.told(alice))
            self.assertEqual([], phone.events)
        self.assertEqual({Ending.NO_DEVICE}, {record.ending for record in self.store.records})

    def test_blocked_looks_like_offline(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.node.blocked.add(("alice", "bob"))
        self.ring(alice)
        blocked = self.told(alice)
        self.assertEqual([], bob.events)
        self.assertEqual([], self.records("bob"), "nor does he read of it")
        self.node.leave(bob)
        self.node.blocked.clear()
        self.ring(alice, call="c3")
        self.assertEqual(["ended offline"], blocked)
        self.assertEqual(blocked, self.told(alice))
        self.assertEqual(["c1", "c3"], [record.call for record in self.records("alice")])
        one, other = self.records("alice")
        self.assertEqual((one.ending, one.missed), (other.ending, other.missed))
        self.assertEqual((False, True), (one.told, other.told))
        self.node.blocked.add(("alice", "bob"))
        self.ring(self.phone("bob"), "alice", "c2")  # the other way round nobody is blocked
        self.assertEqual(["incoming v=0 offer"], self.told(alice))

    def test_unknown_users_are_no_more_than_that(self) -> None:
        """A user who blocks everybody is not known by the lack of a record, nor is an unknown one by its."""
        alice = self.phone("alice")
        self.node.blocked.add(("alice", "nobody"))
        self.ring(alice, "nobody")
        self.assertEqual(["ended offline"], self.told(alice))
        self.assertEqual([], self.store.records)

    def test_oneself(self) -> None:
        alice, other = self.phone("alice"), self.phone("alice")
        self.assertIs(CallFault.BAD_REQUEST, self.fault(alice, StartCall("alice", False, "c1")))
        self.assertEqual(([], []), (alice.events, other.events))

    def test_only_live_sessions_that_have_calls(self) -> None:
        self.phone("bob")
        stranger = Phone("alice", "nowhere", Media.WEBRTC)
        mail = self.phone("alice", Media.NONE)
        for phone in (stranger, mail):
            for command in (StartCall("bob", False), EndCall(), ice("c1")):
                self.refused(ErrorCode.BAD_REQUEST, self.node.handle(phone, command))

    def test_ids(self) -> None:
        """A client's own id is kept; document 000 needs a UUID, document 002 an id that says what it is."""
        bob, dave = self.phone("bob"), self.phone("carol", Media.RELAY)
        alice = self.phone("alice")
        longest = "ü" * (MAX_CALL_ID_BYTES // 2)
        self.do(alice, StartCall("bob", False, longest))
        self.assertEqual(longest, bob.take()[0].call)
        self.do(alice, EndCall())
        self.assertIs(CallFault.BAD_REQUEST, self.fault(alice, StartCall("bob", False, longest + "x")))
        bob.take()
        self.do(alice, StartCall("bob", False))
        self.assertRegex(bob.take()[0].call, r"^call_[0-9a-f-]{36}$")
        self.do(alice, EndCall())
        old = self.phone("alice", Media.RELAY)
        self.do(old, StartCall("carol", False))
        self.assertRegex(
            dave.take()[0].call, r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
        )

    def test_an_id_of_others(self) -> None:
        alice, bob, carol = self.phone("alice"), self.phone("bob"), self.phone("carol")
        self.ring(alice)
        self.assertIs(CallFault.CALL_ID_IN_USE, self.fault(carol, StartCall("bob", False, "c1")))
        self.do(alice, EndCall())
        self.assertIs(CallFault.CALL_ID_IN_USE, self.fault(carol, StartCall("bob", False, "c1")))
        self.clock.advance(60)
        self.ring(carol, "bob", "c1")  # forgotten by then
        self.assertEqual(["incoming v=0 offer", "stopped cancelled", "incoming v=0 offer"], self.told(bob))

    def test_an_offer_without_a_callee_is_one_of_a_running_call(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.assertIs(CallFault.UNKNOWN_CALL, self.fault(alice, StartCall("", False, "c1")))
        self.talk(alice, bob)
        self.do(alice, StartCall("", False, "c1", b'{"sdp":"v=0 more"}'))
        self.assertEqual(["offer v=0 more"], self.told(bob))

    def test_nobody_is_flooded(self) -> None:
        """What somebody may say to one who has not even answered is bounded; hanging up always works."""
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        big = status("c1", "x" * 50_000)
        for _ in range(10):
            self.do(alice, big)
        for command in (big, AnswerCall("c1", b"x" * 50_000), StartCall("bob", False, "c1", b"x" * 50_000)):
            self.refused(ErrorCode.TOO_FAST, self.node.handle(alice, command))
        self.assertEqual(11, len(bob.take()))
        self.clock.advance(2)
        self.do(alice, big)
        self.do(alice, EndCall("c1", "", b"x" * 10_000))
        self.assertEqual(["status " + "x" * 50_000, "stopped cancelled"], self.told(bob))

    def test_too_many_a_second(self) -> None:
        alice = self.phone("alice")
        for _ in range(START_BURST):
            self.do(alice, StartCall("bob", False))
        self.refused(ErrorCode.TOO_FAST, self.node.handle(alice, StartCall("bob", False)))
        self.clock.advance(1)
        self.do(alice, StartCall("bob", False))


class Busy(CallCase):
    """One call at a time for each user, on whatever device."""

    def test_callee_and_caller(self) -> None:
        alice, bob, carol = self.phone("alice"), self.phone("bob"), self.phone("carol")
        at_bob = self.phone("bob", Media.RELAY)
        self.ring(alice)
        self.ring(carol, "bob", "c2")
        self.assertEqual(["ended busy"], self.told(carol))
        self.ring(carol, "alice", "c3")
        self.assertEqual(["ended busy"], self.told(carol))
        self.do(at_bob, StartCall("carol", False))  # another kind of call
        self.assertEqual(["ended busy"], self.told(at_bob))
        self.do(bob, AnswerCall("c1"))
        self.ring(carol, "bob", "c4")
        self.assertEqual(["ended busy"], self.told(carol))
        self.do(bob, EndCall("c1"))
        self.ring(carol, "bob", "c5")
        self.assertEqual(["ringing"], self.told(carol))
        self.assertFalse(any(event.glare for event in carol.events if isinstance(event, CallEnded)))

    def test_nobody_misses_a_call_of_somebody_who_was_busy(self) -> None:
        """Or of whom he talks with already; glare, and a callee who talks with others, are missed calls."""
        alice, bob, carol = self.phone("alice"), self.phone("bob"), self.phone("carol")
        self.ring(alice)
        self.ring(bob, "alice", "glare")
        self.ring(self.phone("alice"), "bob", "again")
        self.ring(carol, "bob", "busy callee")
        self.ring(self.phone("bob"), "carol", "busy caller")
        self.do(bob, AnswerCall("c1"))
        self.ring(self.phone("bob"), "alice", "no glare")
        told = {record.call for record in self.store.records if record.told}
        self.assertEqual({"glare", "busy callee"}, told)
        self.assertEqual(told, {record.call for record in self.store.records if record.missed})
        self.assertEqual(
            {"busy callee"}, {record.call for record in self.records("carol")}, "bob's never came to him"
        )

    def test_a_call_that_never_rang_leaves_nobody_busy(self) -> None:
        alice, carol = self.phone("alice"), self.phone("carol")
        self.ring(alice)  # bob is offline
        bob = self.phone("bob")
        self.ring(carol, "bob", "c2")
        self.ring(carol, "alice", "c3")  # busy
        self.ring(alice, "carol", "c4")  # busy
        self.do(carol, EndCall())
        self.ring(alice, "bob", "c5")
        self.assertEqual(["ended offline", "ended busy", "ringing"], self.told(alice))
        self.assertEqual(["incoming v=0 offer"], self.told(bob)[-1:])

    def test_glare(self) -> None:
        alice, bob, bobs = self.phone("alice"), self.phone("bob"), self.phone("bob")
        self.ring(alice)
        self.ring(bob, "alice", "c2")
        self.assertEqual(["incoming v=0 offer", "ended busy (glare)"], self.told(bob))
        self.assertEqual(["ringing"], self.told(alice))
        self.do(bobs, StartCall("alice", False, "c3"))
        self.assertEqual(["incoming v=0 offer", "ended busy (glare)"], self.told(bobs))
        self.do(bob, AnswerCall("c1"))
        self.assertEqual(["answered"], self.told(alice))
        self.ring(bobs, "alice", "c4")  # no glare any more: they talk
        self.assertEqual(["stopped elsewhere", "ended busy"], self.told(bobs))

    def test_the_same_way_again_is_no_glare(self) -> None:
        alice, alices = self.phone("alice"), self.phone("alice")
        self.phone("bob")
        self.ring(alice)
        self.ring(alices, "bob", "c2")
        self.assertEqual(["ended busy"], self.told(alices))


class Ringing(CallCase):
    """Until somebody answers."""

    def test_time(self) -> None:
        alice, bob, bobs = self.phone("alice"), self.phone("bob"), self.phone("bob")
        self.ring(alice)
        self.clock.advance(RING - 0.01)
        self.assertEqual(["ringing"], self.told(alice))
        self.clock.advance(0.01)
        self.assertEqual(["ended no_answer"], self.told(alice))
        for phone in (bob, bobs):
            self.assertEqual(["incoming v=0 offer", "stopped no_answer"], self.told(phone))
        self.assertEqual(
            (Ending.NO_ANSWER, True), (self.store.last("c1").ending, self.store.last("c1").missed)
        )

    def test_cancelled(self) -> None:
        for cancel in (EndCall("c1", "user_hangup"), EndCall(), RejectCall("c1")):
            with self.subTest(cancel=cancel):
                alice, bob = self.phone("alice"), self.phone("bob")
                self.ring(alice)
                self.do(alice, cancel)
                self.assertEqual(["ringing", "ended cancelled by alice"], self.told(alice))
                self.assertEqual(["incoming v=0 offer", "stopped cancelled"], self.told(bob))
                self.clock.advance(60)
                self.node.leave(alice)
                self.node.leave(bob)

    def test_another_session_of_the_caller_cancels(self) -> None:
        alice, alices, bob = self.phone("alice"), self.phone("alice", Media.RELAY), self.phone("bob")
        self.ring(alice)
        self.do(alices, EndCall("c1"))
        self.assertEqual(["ringing", "ended cancelled by alice"], self.told(alice))
        self.assertEqual(["incoming v=0 offer", "stopped cancelled"], self.told(bob))
        self.assertEqual([], alices.events)

    def test_rejected(self) -> None:
        for reject in (
            RejectCall("c1", "in a meeting"),
            EndCall("c1", "in a meeting"),
            EndCall("", "in a meeting"),
        ):
            with self.subTest(reject=reject):
                alice, bob, bobs = self.phone("alice"), self.phone("bob"), self.phone("bob")
                self.ring(alice)
                self.do(bob, reject)
                ended = alice.events[-1]
                self.assertEqual(["ringing", "ended rejected by bob"], self.told(alice))
                self.assertEqual(["incoming v=0 offer", "ended rejected by bob"], self.told(bob))
                self.assertEqual(["incoming v=0 offer", "stopped rejected"], self.told(bobs))
                self.assertEqual("in a meeting", ended.reason)
                self.assertEqual(("bob", False), (self.store.last("c1").by, self.store.last("c1").missed))
                self.clock.advance(60)
                for phone in (alice, bob, bobs):
                    self.node.leave(phone)

    def test_late_devices(self) -> None:
        """Who logs in while it rings gets the newest offer and the caller's candidates so far, up to 64."""
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        for number in range(70):
            self.do(alice, ice("c1", number))
        self.do(alice, StartCall("bob", False, "c1", b'{"sdp":"v=0 newer"}'))
        self.assertEqual(
            ["incoming v=0 offer", *[f"ice {n}" for n in range(70)], "incoming v=0 newer"], self.told(bob)
        )
        late, old, other = self.phone("bob"), self.phone("bob", Media.RELAY), self.phone("carol")
        self.assertEqual(["incoming v=0 newer", *[f"ice {n}" for n in range(64)]], self.told(late))
        self.assertEqual(([], []), (old.events, other.events))
        self.do(late, AnswerCall("c1"))
        self.assertEqual(["accepted"], self.told(late))
        self.assertEqual(["stopped elsewhere"], self.told(bob))
        self.assertEqual([], self.told(self.phone("bob")))

    def test_it_goes_on_ringing_without_devices(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        self.node.leave(bob)
        self.clock.advance(RING / 2)
        self.assertEqual(["ringing"], self.told(alice))
        self.assertEqual(["incoming v=0 offer"], self.told(self.phone("bob")))
        self.clock.advance(RING / 2)
        self.assertEqual(["ended no_answer"], self.told(alice))

    def test_offered_again(self) -> None:
        alice, bob, alices = self.phone("alice"), self.phone("bob"), self.phone("alice")
        self.ring(alice)
        self.ring(alice)
        self.assertEqual(["ringing", "ringing"], self.told(alice))
        self.assertEqual(["incoming v=0 offer"], self.told(bob))
        self.do(alice, StartCall("carol", True, "c1", b'{"sdp":"v=0 newer"}'))  # whom is known already
        self.assertEqual(["ringing"], self.told(alice))
        self.assertEqual(["incoming v=0 newer"], self.told(bob))
        self.assertIs(CallFault.NOT_PARTICIPANT, self.fault(alices, StartCall("bob", False, "c1", OFFER)))
        self.assertIs(CallFault.BAD_REQUEST, self.fault(bob, StartCall("alice", False, "c1", OFFER)))
        self.assertIs(CallFault.BAD_REQUEST, self.fault(alice, AnswerCall("c1", ANSWER)))

    def test_offered_again_without_ids(self) -> None:
        """Document 000's clients know no id before the answer."""
        alice, bob = self.phone("alice", Media.RELAY), self.phone("bob", Media.RELAY)
        self.do(alice, StartCall("bob", True))
        self.do(alice, StartCall("bob", True))
        self.assertEqual(["ringing", "ringing"], self.told(alice))
        self.assertEqual(["incoming"], self.told(bob))
        self.do(alice, StartCall("bob", False))  # that is another call
        self.assertEqual(["ended busy"], self.told(alice))

    def test_signals(self) -> None:
        alice, bob, bobs = self.phone("alice"), self.phone("bob"), self.phone("bob")
        self.ring(alice)
        self.do(bob, status("c1", "ringing"))
        self.assertEqual(["ringing", "status ringing"], self.told(alice))
        self.do(alice, status("c1", "waiting"))
        for phone in (bob, bobs):
            self.assertEqual(["incoming v=0 offer", "status waiting"], self.told(phone))


class Answers(CallCase):
    """The first one has the call."""

    def test_first_wins(self) -> None:
        alice, first, second = self.phone("alice"), self.phone("bob"), self.phone("bob")
        self.ring(alice)
        self.clock.advance(7)
        self.do(second, AnswerCall("c1", ANSWER))
        answered = alice.events[-1]
        self.assertEqual(["ringing", "answered v=0 answer"], self.told(alice))
        self.assertEqual(
            (START + 7, "alice", "bob"), (answered.answered_at, answered.caller, answered.callee)
        )
        self.assertEqual(["incoming v=0 offer", "accepted"], self.told(second))
        self.assertEqual(["incoming v=0 offer", "stopped elsewhere"], self.told(first))
        self.do(first, AnswerCall("c1", ANSWER))
        self.do(first, RejectCall("c1"))
        self.do(first, ice("c1"))
        self.do(first, status("c1"))
        self.assertEqual(["stopped elsewhere", "stopped elsewhere"], self.told(first))
        self.assertEqual(([], []), (alice.events, second.events))

    def test_candidates_of_devices(self) -> None:
        """They follow the answer of their device, and no other's."""
        alice, first, second = self.phone("alice"), self.phone("bob"), self.phone("bob")
        self.ring(alice)
        for number in range(70):
            self.do(first, ice("c1", f"a{number}"))
            self.do(second, ice("c1", f"b{number}"))
        self.assertEqual(["ringing"], self.told(alice))
        self.do(second, AnswerCall("c1", ANSWER))
        self.assertEqual(["answered v=0 answer", *[f"ice b{n}" for n in range(64)]], self.told(alice))
        self.do(second, ice("c1", "later"))
        self.assertEqual(["ice later"], self.told(alice))

    def test_the_same_answer_again(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.talk(alice, bob)
        self.do(bob, AnswerCall("c1", ANSWER))
        self.do(alice, StartCall("bob", False, "c1", OFFER))
        self.assertEqual(["accepted"], self.told(bob))
        self.assertEqual(["answered v=0 answer"], self.told(alice))

    def test_a_device_that_cannot(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        old = self.phone("bob", Media.RELAY)
        self.ring(alice)
        self.assertIs(CallFault.BAD_REQUEST, self.fault(old, AnswerCall("c1")))
        self.do(old, RejectCall("c1"))  # but it may say no
        self.assertEqual(["ringing", "ended rejected by bob"], self.told(alice))
        self.assertEqual(["incoming v=0 offer", "stopped rejected"], self.told(bob))

    def test_time_a_call_may_last(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        self.clock.advance(20)
        self.do(bob, AnswerCall("c1"))
        alice.take(), bob.take()
        self.clock.advance(SETTINGS.max_seconds - 0.01)
        self.assertEqual([], alice.events)
        self.clock.advance(0.01)
        for phone in (alice, bob):
            (ended,) = phone.take()
            self.assertEqual((Ending.TOO_LONG, 3600), (ended.ending, ended.duration))


class Running(CallCase):
    """Between the parties."""

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.alices = self.phone("alice"), self.phone("alice")
        self.bob, self.bobs, self.carol = self.phone("bob"), self.phone("bob"), self.phone("carol")
        self.talk(self.alice, self.bob)
        self.bobs.take()

    def others(self) -> list[list[Any]]:
        return [phone.events for phone in (self.alices, self.bobs, self.carol)]

    def test_everything_goes_across(self) -> None:
        error = SignalCall("c1", Signal.ERROR, b'{"error_code":"MEDIA_ERROR"}')
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            for command in (
                StartCall("whoever", False, "c1", b'{"sdp":"v=0 again"}'),
                AnswerCall("c1", b'{"sdp":"v=0 anew"}'),
                ice("c1", 5),
                status("c1"),
                error,
            ):
                self.do(one, command)
            signals = other.take()
            self.assertEqual(
                [Signal.OFFER, Signal.ANSWER, Signal.ICE, Signal.STATUS, Signal.ERROR],
                [event.signal for event in signals],
            )
            self.assertEqual({(one.user, other.user)}, {(event.sender, event.recipient) for event in signals})
            self.assertEqual(error.detail, signals[-1].detail)
            self.assertEqual([], one.events)
        self.assertEqual([[], [], []], self.others())

    def test_renegotiated_with_the_same_words(self) -> None:
        """After a new offer nothing is a repetition of the first one any more."""
        self.do(self.bob, StartCall("alice", False, "c1", b'{"sdp":"v=0 hold"}'))
        self.do(self.alice, AnswerCall("c1", b'{"sdp":"v=0 held"}'))
        self.do(self.alice, StartCall("bob", False, "c1", OFFER))
        self.do(self.bob, AnswerCall("c1", ANSWER))
        self.assertEqual(["answer v=0 held", "offer v=0 offer"], self.told(self.bob))
        self.assertEqual(["offer v=0 hold", "answer v=0 answer"], self.told(self.alice))

    def test_any_session_of_the_two_may_end(self) -> None:
        for number, name in enumerate(("alice", "alices", "bob", "bobs"), 2):
            for how in (EndCall(f"c{number}"), EndCall()):
                with self.subTest(name=name, how=how):
                    self.do(self.alice, EndCall())
                    self.clock.advance(60)
                    self.talk(self.alice, self.bob, f"c{number}")
                    self.alices.take(), self.bobs.take()
                    phone: Phone = getattr(self, name)
                    self.do(phone, how)
                    for party in (self.alice, self.bob):
                        self.assertEqual([f"ended hangup by {phone.user}"], self.told(party))
                    self.assertEqual([[], [], []], self.others())

    def test_others_have_no_part_in_it(self) -> None:
        offer, answer = StartCall("bob", False, "c1", b"{}"), AnswerCall("c1", b"{}")
        commands: tuple[Any, ...] = (offer, answer, ice("c1"), status("c1"))
        for command in commands:
            self.assertIs(CallFault.NOT_PARTICIPANT, self.fault(self.alices, command))
        self.assertIs(CallFault.NOT_PARTICIPANT, self.fault(self.bobs, commands[0]))
        for command in (*commands[1:], EndCall("c1"), RejectCall("c1")):
            self.assertIs(CallFault.NOT_PARTICIPANT, self.fault(self.carol, command))
        self.assertIs(CallFault.CALL_ID_IN_USE, self.fault(self.carol, commands[0]))
        self.assertEqual(([], []), (self.alice.events, self.bob.events))
        self.assertEqual([[], [], []], self.others())
        self.do(self.carol, EndCall())  # there is none of hers
        self.assertEqual(([], []), (self.alice.events, self.bob.events))

    def test_quality_is_counted(self) -> None:
        told = SignalCall("c1", Signal.STATUS, b"{}", CallQuality(0.02, 0.005, None))
        self.do(self.alice, told)
        quality = self.node.calls.counts.quality
        self.assertEqual((0.02, 1), (quality.packet_loss.total, sum(quality.packet_loss.counts)))
        self.assertEqual((0.005, 0), (quality.jitter.total, sum(quality.round_trip.counts)))
        self.fault(self.carol, told)
        self.assertEqual(1, sum(quality.packet_loss.counts))


class Ended(CallCase):
    """Messages that cross the end."""

    def test_remembered(self) -> None:
        alice, bob, bobs = self.phone("alice"), self.phone("bob"), self.phone("bob")
        carol = self.phone("carol")
        self.talk(alice, bob)
        bobs.take()
        self.do(alice, EndCall("c1"))
        alice.take(), bob.take()
        late: Any
        for late in (EndCall("c1"), RejectCall("c1"), ice("c1"), status("c1")):
            for phone in (alice, bob):
                self.do(phone, late)
                self.assertEqual([], phone.events)
        self.do(bob, AnswerCall("c1", b'{"sdp":"v=0 late"}'))
        self.do(alice, StartCall("bob", False, "c1", OFFER))
        self.assertEqual(["ended hangup by alice"], self.told(alice))
        self.assertEqual(["ended hangup by alice"], self.told(bob))
        self.do(bobs, AnswerCall("c1"))
        self.assertEqual(["stopped elsewhere"], self.told(bobs))
        for late in (EndCall("c1"), ice("c1"), AnswerCall("c1")):
            self.assertIs(CallFault.NOT_PARTICIPANT, self.fault(carol, late))

    def test_forgotten(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.talk(alice, bob)
        self.do(alice, EndCall("c1"))
        self.clock.advance(59.9)
        self.do(bob, EndCall("c1"))
        self.clock.advance(0.1)
        for late in (EndCall("c1"), RejectCall("c1"), ice("c1"), AnswerCall("c1")):
            self.assertIs(CallFault.UNKNOWN_CALL, self.fault(bob, late))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_forgotten_one_after_another(self) -> None:
        alice = self.phone("alice")
        for number in range(3):
            self.do(alice, StartCall("bob", False, f"c{number}"))
            self.clock.advance(20)
        self.assertIs(CallFault.UNKNOWN_CALL, self.fault(alice, ice("c0")))
        self.do(alice, ice("c1"))
        self.clock.advance(20)
        self.assertIs(CallFault.UNKNOWN_CALL, self.fault(alice, ice("c1")))
        self.do(alice, ice("c2"))

    def test_answer_after_it_rang_out(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        self.clock.advance(RING)
        bob.take()
        self.do(bob, AnswerCall("c1"))
        self.assertEqual(["stopped no_answer"], self.told(bob))
        self.assertEqual(["ringing", "ended no_answer"], self.told(alice))

    def test_candidates_for_a_call_that_never_rang(self) -> None:
        alice = self.phone("alice")
        self.ring(alice)
        self.do(alice, ice("c1"))
        self.do(alice, EndCall("c1"))
        self.do(alice, EndCall())
        self.assertEqual(["ended offline"], self.told(alice))


class LostConnections(CallCase):
    """Peer-to-peer calls outlive a connection for a while; relayed ones do not."""

    def test_caller_comes_back_while_it_rings(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        self.node.leave(alice)
        self.clock.advance(GRACE - 0.01)
        back = self.phone("alice")
        self.ring(back)
        self.assertEqual(["ringing"], self.told(back))
        self.clock.advance(1)
        self.do(bob, AnswerCall("c1", ANSWER))
        self.assertEqual(["answered v=0 answer"], self.told(back))
        self.assertEqual(["incoming v=0 offer", "accepted"], self.told(bob))

    def test_answered_while_the_caller_is_away(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        self.node.leave(alice)
        self.do(bob, ice("c1", "before"))
        self.do(bob, AnswerCall("c1", ANSWER))
        self.do(bob, ice("c1", "after"))
        self.assertEqual(["incoming v=0 offer", "accepted"], self.told(bob))
        back = self.phone("alice")
        self.assertEqual([], back.events)  # it has to name the call first
        self.do(back, ice("c1", "mine"))
        self.assertEqual(["answered v=0 answer", "ice before", "ice after"], self.told(back))
        self.assertEqual(["ice mine"], self.told(bob))
        self.clock.advance(GRACE)
        self.assertEqual([], back.events)

    def test_what_is_kept_for_who_is_away_is_bounded(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.talk(alice, bob)
        self.node.leave(alice)
        for _ in range(200):
            self.do(bob, ice("c1"))
        back = self.phone("alice")
        self.do(back, status("c1"))
        self.assertEqual(128, len(back.take()))
        self.clock.advance(10)
        self.node.leave(back)
        big = SignalCall("c1", Signal.STATUS, b"x" * 100_000)
        for _ in range(5):
            self.do(bob, big)
        again = self.phone("alice")
        self.do(again, status("c1"))
        self.assertEqual(2, len(again.take()))

    def test_callee_comes_back(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.talk(alice, bob)
        self.node.leave(bob)
        self.do(alice, StartCall("bob", False, "c1", b'{"sdp":"v=0 restart"}'))
        old, back = self.phone("bob", Media.RELAY), self.phone("bob")
        self.assertEqual([], back.events)
        self.do(old, status("c1"))  # another kind of session cannot take the place
        self.do(back, status("c1"))
        self.assertEqual(["offer v=0 restart"], self.told(back))
        self.assertEqual(["status connected"], self.told(alice))
        self.clock.advance(GRACE)
        self.do(back, EndCall("c1"))
        self.assertEqual(["ended hangup by bob"], self.told(alice))

    def test_nobody_comes_back(self) -> None:
        for one in ("alice", "bob"):
            with self.subTest(lost=one):
                phones = {"alice": self.phone("alice"), "bob": self.phone("bob")}
                self.talk(phones["alice"], phones["bob"])
                self.node.leave(phones.pop(one))
                (rest,) = phones.values()
                self.clock.advance(GRACE - 0.01)
                self.assertEqual([], rest.events)
                self.clock.advance(0.01)
                self.assertEqual(["ended lost"], self.told(rest))
                self.assertEqual("", self.store.last("c1").by)
                back = self.phone(one)
                self.do(back, ice("c1"))  # it still believes in the call
                self.do(back, ice("c1"))
                self.assertEqual(["ended lost"], self.told(back))
                self.clock.advance(60)
                self.node.leave(back)
                self.node.leave(rest)

    def test_the_caller_is_lost_while_it_rings(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        self.node.leave(alice)
        self.clock.advance(GRACE)
        self.assertEqual(["incoming v=0 offer", "stopped lost"], self.told(bob))
        self.assertTrue(self.store.last("c1").missed)

    def test_both_are_lost(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.talk(alice, bob)
        self.node.leave(alice)
        self.clock.advance(GRACE - 1)
        self.node.leave(bob)
        back = self.phone("alice")
        self.do(back, ice("c1"))
        self.clock.advance(GRACE)
        self.assertEqual(["ended lost"], self.told(back))

    def test_while_one_is_away_the_call_can_be_ended(self) -> None:
        alice, bob, alices = self.phone("alice"), self.phone("bob"), self.phone("alice", Media.RELAY)
        self.talk(alice, bob)
        self.node.leave(alice)
        self.do(alices, EndCall())
        self.assertEqual(["ended hangup by alice"], self.told(bob))
        self.assertEqual([], self.told(alices))
        self.assertIs(CallFault.UNKNOWN_CALL, self.fault(bob, EndCall("c9")))

    def test_ringing_time_goes_on_while_the_caller_is_away(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        self.clock.advance(RING - 1)
        self.node.leave(alice)
        self.clock.advance(1)
        self.assertEqual(["incoming v=0 offer", "stopped no_answer"], self.told(bob))

    def test_relayed_calls_end_at_once(self) -> None:
        for lost in ("caller", "callee", "caller while ringing"):
            with self.subTest(lost=lost):
                alice, bob = self.phone("alice", Media.RELAY), self.phone("bob", Media.RELAY)
                self.do(alice, StartCall("bob", False))
                call = bob.take()[0].call
                if lost == "caller while ringing":
                    self.node.leave(alice)
                    self.assertEqual(["stopped lost"], self.told(bob))
                    continue
                self.do(bob, AnswerCall(call))
                alice.take(), bob.take()
                gone, rest = (alice, bob) if lost == "caller" else (bob, alice)
                self.node.leave(gone)
                self.assertEqual(["ended lost"], self.told(rest))
                self.node.leave(rest)

    def test_a_party_of_another_call_is_not_missed(self) -> None:
        """Sessions without a part may come and go."""
        alice, bob, bobs = self.phone("alice"), self.phone("bob"), self.phone("bob")
        self.talk(alice, bob)
        self.node.leave(bobs)
        self.node.leave(self.phone("alice"))
        self.clock.advance(GRACE * 2)
        self.assertEqual(([], []), (alice.events, bob.events))


class RelayedMedia(CallCase):
    """Document 000, type 6."""

    settings = CallSettings(media_bytes_per_second=100_000)

    def setUp(self) -> None:
        super().setUp()
        self.alice, self.bob = self.phone("alice", Media.RELAY), self.phone("bob", Media.RELAY)
        self.bobs = self.phone("bob", Media.RELAY)

    def send(self, phone: Phone, data: bytes) -> None:
        self.node.calls.media(phone.principal.session, CallMedia(data))

    def test_only_between_the_parties_of_a_running_call(self) -> None:
        counts = self.node.calls.counts
        self.send(self.alice, b"before")
        self.do(self.alice, StartCall("bob", True))
        self.send(self.alice, b"ringing")
        call = self.bob.take()[0].call
        self.do(self.bob, AnswerCall(call))
        for phone in (self.alice, self.bob, self.bobs):
            self.send(phone, phone.user.encode())
        self.assertEqual([CallMedia(b"bob", call)], self.alice.pieces)
        self.assertEqual([CallMedia(b"alice", call)], self.bob.pieces)
        self.assertEqual([], self.bobs.pieces)
        self.assertEqual(
            (2, 8, 3), (counts.media_packets, counts.media_bytes, counts.media_dropped["no_call"])
        )
        self.do(self.bobs, EndCall())
        self.send(self.alice, b"after")
        self.assertEqual(1, len(self.bob.pieces))
        self.do(self.alice, StartCall("bob", True))  # a call that comes to nothing ends no other
        self.do(self.bob, AnswerCall(self.bob.take()[-1].call))
        self.do(self.alice, StartCall("carol", True))
        self.send(self.alice, b"still")
        self.assertEqual(2, len(self.bob.pieces))

    def test_none_for_peer_to_peer_calls(self) -> None:
        alice, carol = self.phone("alice"), self.phone("carol")
        self.talk(alice, carol)
        self.send(alice, b"x")
        self.assertEqual([], carol.pieces)

    def test_rate_of_a_call(self) -> None:
        """Of both directions together; what is too much is dropped and counted."""
        self.do(self.alice, StartCall("bob", True))
        self.do(self.bob, AnswerCall(self.bob.take()[0].call))
        for _ in range(3):
            self.send(self.alice, b"x" * 30_000)
            self.send(self.bob, b"x" * 30_000)
        self.assertEqual((2, 1), (len(self.bob.pieces), len(self.alice.pieces)))
        counts = self.node.calls.counts
        self.assertEqual((3, 90_000), (counts.media_dropped["rate"], counts.media_bytes))
        self.clock.advance(0.5)
        self.send(self.alice, b"x" * 30_000)
        self.assertEqual(3, len(self.bob.pieces))

    def test_small_pieces_cost_as_much_work(self) -> None:
        self.do(self.alice, StartCall("bob", True))
        self.do(self.bob, AnswerCall(self.bob.take()[0].call))
        for _ in range(1000):
            self.send(self.alice, b"x")
        self.assertEqual(100_000 // (PACKET_OVERHEAD + 1), len(self.bob.pieces))


class Records(CallCase):
    """What is kept."""

    def test_while_it_lasts_and_at_the_end(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice, video=True)
        self.clock.advance(3)
        self.do(bob, AnswerCall("c1"))
        self.clock.advance(60.5)
        self.do(bob, EndCall("c1"))
        base = CallRecord("c1", "alice", "bob", True, START)
        self.assertEqual(
            [
                base,
                CallRecord("c1", "alice", "bob", True, START, START + 3),
                CallRecord("c1", "alice", "bob", True, START, START + 3, START + 63.5, Ending.HANGUP, "bob"),
            ],
            self.store.records,
        )
        self.assertEqual(60, bob.events[-1].duration)

    def test_a_store_that_fails_ends_nothing_and_is_asked_again(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.store.failing = ErrorCode.UNAVAILABLE
        self.talk(alice, bob)
        self.do(alice, EndCall("c1"))
        self.assertEqual(["ended hangup by alice"], self.told(bob))
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual([], self.store.records)
        self.store.failing = None
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual([Ending.HANGUP], [record.ending for record in self.store.records])

    def test_what_a_store_refuses_for_good_is_not_tried_again(self) -> None:
        alice, _ = self.phone("alice"), self.phone("bob")
        self.store.failing = ErrorCode.USER_NOT_FOUND
        self.ring(alice)
        self.do(alice, EndCall("c1"))
        self.clock.advance(60)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_store_that_fails_for_long_loses_a_record(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.store.failing = ErrorCode.UNAVAILABLE
        self.ring(alice)
        self.do(bob, RejectCall("c1"))
        for _ in range(2 * TRIES):
            self.clock.advance(RETRY_SECONDS)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.store.failing = None
        self.ring(alice, call="c2")
        self.assertEqual(["c2"], [record.call for record in self.store.records])

    def test_a_slow_store_keeps_the_newest(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.store.held = True
        self.talk(alice, bob)
        self.do(alice, EndCall("c1"))
        self.assertEqual([], self.store.records)
        self.store.let_go()
        self.assertEqual([None, Ending.HANGUP], [record.ending for record in self.store.records])

    def test_listed(self) -> None:
        alice = self.phone("alice", Media.NONE)
        for number in range(300):
            self.store.records.append(CallRecord(f"c{number}", "alice", "bob", False, START))
        for limit, rows in ((0, 50), (10, 10), (1000, 200), (-1, 50)):
            page = self.successResultOf(self.node.handle(alice, ListCalls(limit=limit)))
            self.assertEqual(rows, len(page.calls))


class Shutdown(CallCase):
    """The server goes down."""

    def test_all_calls_end(self) -> None:
        alice, bob, carol, dave = (self.phone(user) for user in ("alice", "bob", "carol", "dave"))
        self.talk(alice, bob)
        self.ring(carol, "dave", "c2")
        self.node.calls.shut_down()
        self.assertEqual(["ended shutdown"], self.told(alice))
        self.assertEqual(["ended shutdown"], self.told(bob))
        self.assertEqual(["ringing", "ended shutdown"], self.told(carol))
        self.assertEqual(["incoming v=0 offer", "stopped shutdown"], self.told(dave))
        self.ring(carol, "dave", "c3")
        self.assertEqual(["ended shutdown"], self.told(carol))
        self.assertEqual([], self.told(dave))
        self.assertEqual([], self.clock.getDelayedCalls())


class Counting(CallCase):
    """Numbers for the operator, and slots that are free again."""

    def test_gauges_and_slots(self) -> None:
        counts = self.node.calls.counts
        alice, bob = self.phone("alice"), self.phone("bob")
        self.ring(alice)
        self.assertEqual((1, 1, 0), (counts.started, counts.ringing, counts.running))
        self.do(bob, AnswerCall("c1"))
        self.assertEqual((1, 0, 1), (counts.started, counts.ringing, counts.running))
        self.do(bob, EndCall())
        self.ring(alice, "nobody", "c2")
        self.ring(alice, "bob", "c3")
        self.do(bob, RejectCall("c3"))
        self.assertEqual((3, 0, 0), (counts.started, counts.ringing, counts.running))
        self.assertEqual(
            {Ending.HANGUP: 1, Ending.OFFLINE: 1, Ending.REJECTED: 1},
            {ending: count for ending, count in counts.ended.items() if count},
        )
        self.clock.advance(60)
        for slot in (busy_slot("alice"), busy_slot("bob"), call_slot("c1"), call_slot("c2"), call_slot("c3")):
            self.assertEqual("", self.run_now(self.bus.holder(slot)))
