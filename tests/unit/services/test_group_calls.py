"""Calls of groups on one node, one rule after the other."""

from __future__ import annotations

from twisted.internet.defer import ensureDeferred

from imserver.model.calls import (
    AnswerCall,
    CallEnded,
    CallFault,
    CallMedia,
    EndCall,
    Ending,
    Media,
    RejectCall,
    Signal,
    SignalCall,
    StartCall,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.group_calls import GroupCallChange, GroupCallChanged, StartGroupCall
from imserver.services.call_requests import busy_slot
from imserver.services.group_call_state import MAX_MEMBERS, MAX_PARTICIPANTS, REMEMBERED_SECONDS
from tests.unit.services.call_world import SETTINGS, CallCase, Phone

BAND = ["alice", "bob", "carol"]


class GroupCallCase(CallCase):
    """A group of three, and dave, who is no member."""

    def setUp(self) -> None:
        super().setUp()
        self.node.groups["band"] = list(BAND)
        self.alice, self.bob, self.carol, self.dave = [
            self.phone(name, Media.VOICE) for name in (*BAND, "dave")
        ]
        self.everybody = [self.alice, self.bob, self.carol, self.dave]

    def call(self, caller: Phone, call: str = "c1") -> None:
        self.do(caller, StartGroupCall("band", call))

    def runs(self) -> None:
        """A call of all three, of which nobody has anything left to read."""
        self.call(self.alice)
        for phone in (self.bob, self.carol):
            self.do(phone, AnswerCall("c1"))
        for phone in self.everybody:
            phone.take()

    def code(self, phone: Phone, command: object) -> ErrorCode:
        error: ImError = self.failureResultOf(self.node.handle(phone, command), ImError).value
        return error.code

    def busy(self, user: str) -> bool:
        return bool(self.successResultOf(ensureDeferred(self.bus.holder(busy_slot(user)))))

    def say(self, phone: Phone, data: bytes = b"x", call: str = "c1") -> None:
        self.node.calls.media(phone.principal.session, CallMedia(data, call))

    def hears(self, phone: Phone) -> list[tuple[str, bytes]]:
        pieces, phone.pieces = phone.pieces, []
        return [(piece.sender, piece.data) for piece in pieces]

    def nothing_left(self) -> None:
        """Nobody is busy, and after a while nothing is remembered."""
        for name in (*BAND, "dave"):
            self.assertFalse(self.busy(name), name)
        self.clock.advance(REMEMBERED_SECONDS)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.bus._slots, {})


class Joining(GroupCallCase):
    def test_it_rings_at_the_other_members(self) -> None:
        second = self.phone("bob", Media.VOICE)
        self.phone("carol", Media.WEBRTC)
        self.call(self.alice)
        for phone in (self.bob, second, self.carol):
            self.assertEqual(self.told(phone), ["incoming alice: alice"])
        for phone in (self.alice, self.dave):
            self.assertEqual(self.told(phone), [])
        self.assertTrue(self.busy("alice"))
        self.assertFalse(self.busy("bob"))
        self.call(self.alice)  # asked again
        self.assertEqual(self.told(self.bob), [])

    def test_one_joins_after_the_other(self) -> None:
        second = self.phone("bob", Media.VOICE)
        self.call(self.alice)
        for phone in (*self.everybody, second):
            phone.take()
        self.do(self.bob, AnswerCall("c1"))
        self.assertEqual(self.told(self.bob), ["connected bob: alice bob"])
        self.assertEqual(self.told(self.alice), ["connected bob: alice bob", "joined bob: alice bob"])
        self.assertEqual(self.told(second), ["stopped bob: alice bob"])
        self.assertEqual(self.told(self.carol), [])
        self.do(self.bob, AnswerCall("c1"))  # again
        self.assertEqual(self.told(self.bob), [])
        self.do(self.carol, AnswerCall("c1"))
        self.assertEqual(self.told(self.carol), ["connected carol: alice bob carol"])
        for phone in (self.alice, self.bob):
            self.assertEqual(self.told(phone), ["joined carol: alice bob carol"])
        self.assertEqual(self.code(second, AnswerCall("c1")), ErrorCode.CONFLICT)

    def test_who_may_not(self) -> None:
        self.assertEqual(self.code(self.dave, StartGroupCall("band", "x")), ErrorCode.NOT_FOUND)
        self.assertEqual(self.code(self.alice, StartGroupCall("none", "x")), ErrorCode.NOT_FOUND)
        self.assertEqual(self.code(self.alice, StartGroupCall("band", "x" * 129)), ErrorCode.BAD_REQUEST)
        browser = self.phone("alice", Media.WEBRTC)
        self.assertEqual(self.code(browser, StartGroupCall("band", "x")), ErrorCode.BAD_REQUEST)
        self.call(self.alice)
        self.assertEqual(self.code(self.bob, StartGroupCall("band", "x")), ErrorCode.CONFLICT)
        self.assertEqual(self.fault(self.dave, AnswerCall("c1")), CallFault.NOT_PARTICIPANT)
        self.assertEqual(self.fault(self.dave, RejectCall("c1")), CallFault.NOT_PARTICIPANT)
        self.assertEqual(self.fault(self.dave, EndCall("c1")), CallFault.NOT_PARTICIPANT)
        self.assertEqual(self.fault(browser, AnswerCall("c1")), CallFault.NOT_PARTICIPANT)
        self.assertEqual(self.fault(self.bob, SignalCall("c1", Signal.STATUS)), CallFault.BAD_REQUEST)
        self.node.groups["band"].remove("bob")
        self.assertEqual(self.fault(self.bob, AnswerCall("c1")), CallFault.NOT_PARTICIPANT)

    def test_large_groups_and_full_calls(self) -> None:
        many = [f"user{number}" for number in range(MAX_MEMBERS)]
        self.node.groups["band"] = ["alice", *many]
        self.assertEqual(self.code(self.alice, StartGroupCall("band", "x")), ErrorCode.CONFLICT)
        self.node.groups["band"].pop()
        phones = [self.phone(name, Media.VOICE) for name in many[:MAX_PARTICIPANTS]]
        self.call(self.alice)
        for phone in phones[:-1]:
            self.do(phone, AnswerCall("c1"))
        self.assertEqual(self.code(phones[-1], AnswerCall("c1")), ErrorCode.CONFLICT)
        self.assertFalse(self.busy(phones[-1].user))

    def test_ids_are_unique_over_both_kinds(self) -> None:
        self.call(self.alice, "group")
        self.assertEqual(self.fault(self.dave, StartCall("carol", False, "group")), CallFault.CALL_ID_IN_USE)
        self.do(self.dave, StartCall("carol", False, "two"))
        self.node.groups["duo"] = ["bob", "carol"]
        self.assertEqual(self.fault(self.bob, StartGroupCall("duo", "two")), CallFault.CALL_ID_IN_USE)
        self.assertEqual(self.fault(self.bob, StartGroupCall("duo", "group")), CallFault.CALL_ID_IN_USE)
        self.assertFalse(self.busy("bob"))
        self.do(self.bob, StartGroupCall("duo", "free"))

    def test_in_one_call_at_a_time(self) -> None:
        self.do(self.dave, StartCall("bob", False, "two"))
        self.assertEqual(self.code(self.bob, StartGroupCall("band", "x")), ErrorCode.CONFLICT)
        self.call(self.alice)
        self.assertEqual(self.code(self.bob, AnswerCall("c1")), ErrorCode.CONFLICT)
        self.do(self.dave, EndCall("two"))
        self.do(self.bob, AnswerCall("c1"))
        self.dave.take()
        self.do(self.dave, StartCall("alice", False, "three"))
        ended = self.dave.take()[-1]
        assert isinstance(ended, CallEnded)
        self.assertIs(ended.ending, Ending.BUSY)


class Going(GroupCallCase):
    def test_the_others_stay(self) -> None:
        self.runs()
        self.do(self.alice, EndCall("c1"))
        self.assertEqual(self.told(self.alice), [])
        for phone in (self.bob, self.carol):
            self.assertEqual(self.told(phone), ["left alice: bob carol"])
        self.assertFalse(self.busy("alice"))
        self.do(self.alice, AnswerCall("c1"))  # and comes back
        self.assertEqual(self.told(self.alice), ["connected alice: bob carol alice"])

    def test_with_the_last_but_one_it_is_over(self) -> None:
        self.runs()
        self.clock.advance(5)
        self.do(self.alice, EndCall("c1"))
        self.node.leave(self.bob)
        last = self.carol.take()[-1]
        self.assertEqual(
            last,
            GroupCallChanged(
                GroupCallChange.ENDED, "c1", "band", "alice", "alice", tuple(BAND), 5, Ending.HANGUP
            ),
        )
        self.do(self.carol, EndCall("c1"))  # it crossed
        self.assertEqual(self.fault(self.carol, AnswerCall("c1")), CallFault.UNKNOWN_CALL)
        self.nothing_left()
        self.assertEqual(self.fault(self.carol, EndCall("c1")), CallFault.UNKNOWN_CALL)

    def test_another_session_may_end_it_for_its_user(self) -> None:
        self.runs()
        second = self.phone("bob", Media.VOICE)
        self.clock.advance(7)
        self.do(second, EndCall("c1"))
        (stopped,) = self.bob.events
        self.assertEqual(stopped.duration, 7)
        self.assertEqual(self.told(self.bob), ["stopped hangup bob: alice bob carol"])
        self.assertEqual(self.told(self.alice), ["left bob: alice carol"])

    def test_a_lost_connection(self) -> None:
        self.runs()
        self.node.leave(self.bob)
        self.assertEqual(self.told(self.alice), ["left bob: alice carol"])
        self.assertFalse(self.busy("bob"))
        # Another session of somebody in it is no loss.
        other = self.phone("carol", Media.VOICE)
        self.node.leave(other)
        self.assertEqual(self.told(self.alice), [])

    def test_no_member_any_more(self) -> None:
        self.runs()
        self.node.calls.no_member("other", "bob")
        self.node.calls.no_member("band", "dave")
        self.assertEqual(self.told(self.alice), [])
        self.node.calls.no_member("band", "bob")
        self.assertEqual(self.told(self.bob), ["stopped hangup bob: alice bob carol"])
        self.assertEqual(self.told(self.alice), ["left bob: alice carol"])
        self.node.calls.no_member("band")
        self.assertTrue(self.told(self.alice)[-1].startswith(("ended", "stopped")))
        self.nothing_left()

    def test_who_is_alone_in_it_and_no_member_any_more(self) -> None:
        self.call(self.alice)
        self.node.calls.no_member("band", "alice")
        self.assertEqual(self.told(self.alice), ["stopped hangup alice: alice"])
        for phone in (self.bob, self.carol):
            self.assertEqual(self.told(phone)[-1], "ended cancelled alice: alice")
        self.nothing_left()

    def test_it_rings_for_members_only(self) -> None:
        second = self.phone("bob", Media.VOICE)
        self.call(self.alice)
        for phone in (*self.everybody, second):
            phone.take()
        self.node.calls.no_member("band", "bob")
        for phone in (self.bob, second):
            self.assertEqual(self.told(phone), ["stopped cancelled bob: alice"])
        self.assertEqual(self.told(self.alice), [])
        self.node.calls.no_member("band", "bob")  # told by another node
        self.node.calls.no_member("band", "carol")
        self.assertEqual(self.told(self.carol), ["stopped cancelled carol: alice"])
        self.assertEqual(self.told(self.alice), ["ended no_answer alice: alice"])
        self.nothing_left()

    def test_a_group_that_is_no_more_does_not_ring(self) -> None:
        self.call(self.alice)
        self.node.calls.no_member("band")
        for phone in (self.alice, self.bob, self.carol):
            self.assertEqual(self.told(phone)[-1], "ended cancelled alice: alice")
        self.nothing_left()

    def test_rejected_by_all(self) -> None:
        second = self.phone("bob", Media.VOICE)
        self.call(self.alice)
        for phone in (*self.everybody, second):
            phone.take()
        self.do(self.bob, RejectCall("c1"))
        self.assertEqual(self.told(second), ["stopped rejected bob: alice"])
        self.assertEqual(self.told(self.bob), [])
        self.assertEqual(self.told(self.alice), ["rejected bob: alice"])
        self.do(self.carol, EndCall("c1"))
        self.assertEqual(self.told(self.alice), ["rejected carol: alice", "ended rejected alice: alice"])
        self.nothing_left()

    def test_nobody_answers(self) -> None:
        self.call(self.alice)
        self.clock.advance(SETTINGS.ring_seconds - 0.1)
        self.assertEqual(len(self.told(self.bob)), 1)
        self.clock.advance(0.1)
        for phone in (self.alice, self.bob, self.carol):
            self.assertEqual(self.told(phone)[-1], "ended no_answer alice: alice")
        self.nothing_left()

    def test_one_answers_and_goes_while_it_still_rings(self) -> None:
        self.call(self.alice)
        self.do(self.bob, AnswerCall("c1"))
        self.do(self.bob, EndCall("c1"))
        self.assertEqual(self.told(self.alice)[-1], "left bob: alice")
        self.clock.advance(SETTINGS.ring_seconds)
        self.assertEqual(self.told(self.alice), ["ended hangup alice: alice bob"])

    def test_one_may_join_when_the_ringing_is_over(self) -> None:
        self.call(self.alice)
        self.do(self.bob, AnswerCall("c1"))
        self.clock.advance(SETTINGS.ring_seconds + 1)
        self.do(self.carol, AnswerCall("c1"))
        self.assertEqual(self.told(self.carol)[-1], "connected carol: alice bob carol")

    def test_nobody_is_there(self) -> None:
        for phone in (self.bob, self.carol):
            self.node.leave(phone)
        self.call(self.alice)
        self.assertEqual(self.told(self.alice), ["ended offline alice: alice"])
        self.nothing_left()

    def test_cancelled(self) -> None:
        self.call(self.alice)
        self.do(self.alice, EndCall("c1"))
        self.assertEqual(self.told(self.bob)[-1], "ended cancelled alice: alice")
        self.nothing_left()
        self.call(self.bob, "c1")

    def test_too_long(self) -> None:
        self.runs()
        self.clock.advance(SETTINGS.ring_seconds)
        self.clock.advance(SETTINGS.max_seconds)
        self.assertEqual(self.told(self.alice), ["ended too_long alice: alice bob carol"])
        self.nothing_left()

    def test_shut_down(self) -> None:
        self.runs()
        self.node.calls.shut_down()
        self.assertEqual(self.told(self.bob), ["ended shutdown alice: alice bob carol"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.code(self.alice, StartGroupCall("band", "x")), ErrorCode.UNAVAILABLE)


class Hearing(GroupCallCase):
    def test_everybody_in_it_hears_all_others(self) -> None:
        self.call(self.alice)
        self.say(self.alice)
        self.do(self.bob, AnswerCall("c1"))
        self.say(self.alice, b"1")
        self.assertEqual(self.hears(self.bob), [("alice", b"1")])
        self.say(self.carol)
        self.do(self.carol, AnswerCall("c1"))
        self.say(self.bob, b"2")
        self.assertEqual(self.hears(self.alice), [("bob", b"2")])
        self.assertEqual(self.hears(self.carol), [("bob", b"2")])
        self.assertEqual(self.hears(self.bob), [])
        self.do(self.bob, EndCall("c1"))
        self.say(self.bob, b"3")
        self.say(self.alice, b"4")
        self.assertEqual(self.hears(self.carol), [("alice", b"4")])
        self.assertEqual(self.hears(self.bob), [])
        self.say(self.alice, b"5", "another")
        self.assertEqual(self.hears(self.carol), [])
        counts = self.node.calls.counts
        self.assertEqual((counts.media_packets, counts.media_bytes), (4, 4))
        self.assertEqual(counts.media_dropped["no_call"], 4)
        self.assertEqual((counts.group_started, counts.group_running), (1, 1))
        self.do(self.carol, EndCall("c1"))
        self.assertEqual(counts.group_running, 0)

    def test_a_piece_counts_for_each_who_hears_it(self) -> None:
        self.runs()
        size = SETTINGS.media_bytes_per_second // 4
        self.say(self.alice, b"x" * size)
        self.say(self.alice, b"x" * size)
        self.assertEqual(len(self.hears(self.bob)), 1)
        self.assertEqual(len(self.hears(self.carol)), 1)
        self.assertEqual(self.node.calls.counts.media_dropped["rate"], 1)

    def test_a_call_of_two_says_who_speaks(self) -> None:
        self.do(self.alice, StartCall("dave", False, "two"))
        self.do(self.dave, AnswerCall("two"))
        self.say(self.dave, b"hi", "two")
        self.assertEqual(self.hears(self.alice), [("dave", b"hi")])
        self.say(self.dave, b"hi", "other")
        self.assertEqual(self.hears(self.alice), [])
        # Its media is cut with the connection: nobody waits.
        self.node.leave(self.dave)
        self.assertEqual(self.told(self.alice)[-1], "ended lost")
