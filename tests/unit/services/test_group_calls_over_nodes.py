"""Calls of groups whose members, and whose home, are on several nodes, and the loss of each of these."""

from __future__ import annotations

from typing import Any

from imserver.model.calls import AnswerCall, CallMedia, EndCall, Ending, Media, RejectCall
from imserver.model.errors import ErrorCode
from imserver.model.group_calls import GroupCallChanged, StartGroupCall
from imserver.model.groups import CreateGroup, LeaveGroup
from imserver.services.group_call_requests import group_key
from imserver.services.rendezvous import draw
from tests.redis.house_world import House, HouseCase, Session

BAND = ("alice", "bob", "carol")


class GroupCallsOverNodes(HouseCase):
    """Three nodes with one member each."""

    def setUp(self) -> None:
        super().setUp()
        self.open_houses("one", "two", "three")
        self.alice, self.bob, self.carol = self.band = [
            house.log_in(user, media=Media.VOICE) for house, user in zip(self.houses, BAND, strict=True)
        ]
        self.alice.do(CreateGroup("band", "", members=("bob", "carol")))

    def home(self) -> House:
        return next(
            house for house in self.houses if house.node == self.houses[0].cellar.bus.home(group_key("band"))
        )

    def elsewhere(self) -> list[Session]:
        """Those whose node is not the home."""
        return [session for session in self.band if session.house is not self.home()]

    def told(self, session: Session) -> list[str]:
        return [
            f"{event.change} {event.user}: {' '.join(event.participants)}"
            for event in session.take()
            if isinstance(event, GroupCallChanged)
        ]

    def call(self, call: str = "c") -> None:
        """A call of all three, of which nobody has anything left to read."""
        self.alice.do(StartGroupCall("band", call))
        for session in (self.bob, self.carol):
            session.do(AnswerCall(call))
        for session in self.band:
            session.take()

    def test_a_claim_whose_answer_is_lost_leaves_nobody_busy(self) -> None:
        for number in (1, 2, 3):
            self.lose_claim(number)
            self.assertEqual(ErrorCode.UNAVAILABLE, self.alice.refusal(StartGroupCall("band", "c")))
            self.settle()
            self.assertEqual([], self.wait_for(self.link.call("KEYS", "t:sl:*")), number)
        self.call()

    def say(self, session: Session, data: bytes, call: str = "c") -> None:
        session.house.hub.media(session.live, CallMedia(data, call))
        self.settle()

    def heard(self, session: Session) -> list[tuple[str, bytes]]:
        pieces: list[Any] = list(session.peer.pieces)
        session.peer.pieces.clear()
        return [(piece.sender, piece.data) for piece in pieces]

    # While all is well

    def test_everybody_hears_everybody(self) -> None:
        self.alice.do(StartGroupCall("band", "c"))
        for session in (self.bob, self.carol):
            self.assertEqual(self.told(session), ["incoming alice: alice"])
        self.bob.do(AnswerCall("c"))
        self.assertEqual(self.told(self.bob), ["connected bob: alice bob"])
        self.assertEqual(self.told(self.alice), ["connected bob: alice bob", "joined bob: alice bob"])
        self.carol.do(AnswerCall("c"))
        for session in self.band:
            session.take()
        for speaker in self.band:
            self.say(speaker, b"\0\xff")
            for session in self.band:
                expected = [] if session is speaker else [(speaker.user, b"\0\xff")]
                self.assertEqual(self.heard(session), expected)
        self.bob.do(EndCall("c"))
        for session in (self.alice, self.carol):
            self.assertEqual(self.told(session), ["left bob: alice carol"])
        self.say(self.alice, b"x")
        self.assertEqual((self.heard(self.bob), self.heard(self.carol)), ([], [("alice", b"x")]))
        self.carol.do(EndCall("c"))
        self.assertEqual(self.told(self.alice), ["left carol: alice", "ended alice: alice bob carol"])
        self.call("again")

    def test_a_group_has_one_call_while_nodes_come(self) -> None:
        self.alice.do(StartGroupCall("band", "c"))
        key, home = group_key("band"), self.home().node
        name = next(f"n{n}" for n in range(1000) if draw(f"n{n}:1", key) < draw(home, key))
        self.open_house(name)
        self.pass_time(2.0)
        self.assertEqual(self.home().name, name)
        self.assertEqual(self.bob.refusal(StartGroupCall("band", "d")), ErrorCode.CONFLICT)
        self.alice.do(StartGroupCall("band", "c"))  # asked again
        self.bob.do(AnswerCall("c"))
        self.assertIn("connected bob: alice bob", self.told(self.alice))

    def test_who_leaves_the_group_leaves_its_call(self) -> None:
        self.call()
        self.carol.do(LeaveGroup("band"))
        self.assertIn("left carol: alice bob", self.told(self.alice))
        self.say(self.alice, b"x")
        self.assertEqual((self.heard(self.bob), self.heard(self.carol)), ([("alice", b"x")], []))

    def test_a_lost_connection_of_another_node(self) -> None:
        self.call()
        self.bob.close()
        for session in (self.alice, self.carol):
            self.assertEqual(self.told(session), ["left bob: alice carol"])

    # Nodes that are lost

    def test_a_home_that_is_lost(self) -> None:
        self.call()
        left = self.elsewhere()
        self.pass_time(3.0)
        self.home().die()
        self.pass_time(12.0)
        for session in left:
            (ended,) = session.take(GroupCallChanged)
            self.assertEqual((ended.change, ended.call, ended.ending), ("ended", "c", Ending.SHUTDOWN))
            self.assertEqual((ended.initiator, tuple(ended.participants)), ("alice", BAND))
            self.assertGreaterEqual(ended.duration, 3)
        self.say(left[0], b"x")
        self.assertEqual(self.heard(left[1]), [])
        # Nobody is busy with it, and the next call finds another home.
        left[0].do(StartGroupCall("band", "d"))
        left[1].do(AnswerCall("d"))
        self.say(left[0], b"y", "d")
        self.assertEqual(self.heard(left[1]), [(left[0].user, b"y")])

    def test_a_home_that_is_lost_while_it_rings(self) -> None:
        caller, other = self.elsewhere()
        caller.do(StartGroupCall("band", "c"))
        self.assertEqual(self.told(other), [f"incoming {caller.user}: {caller.user}"])
        self.home().die()
        self.pass_time(12.0)
        for session in (caller, other):
            self.assertEqual(self.told(session), [f"ended {caller.user}: {caller.user}"])

    def test_who_rejected_hears_no_end_when_the_home_is_lost(self) -> None:
        caller, other = self.elsewhere()
        caller.do(StartGroupCall("band", "c"))
        other.do(RejectCall("c"))
        caller.take(), other.take()
        self.home().die()
        self.pass_time(12.0)
        self.assertEqual(self.told(caller), [f"ended {caller.user}: {caller.user}"])
        self.assertEqual(self.told(other), [])

    def test_a_participants_node_that_is_lost(self) -> None:
        self.call()
        gone, stays = self.elsewhere()
        third = next(session for session in self.band if session not in (gone, stays))
        gone.house.die()
        self.pass_time(12.0)
        in_it = " ".join(user for user in BAND if user != gone.user)
        for session in (stays, third):
            self.assertEqual(self.told(session), [f"left {gone.user}: {in_it}"])
        self.say(stays, b"x")
        self.assertEqual(self.heard(third), [(stays.user, b"x")])
        third.do(EndCall("c"))
        self.assertEqual(self.told(stays)[-1], "ended alice: alice bob carol")

    def test_a_caller_whose_node_is_lost_before_anybody_joined(self) -> None:
        caller, other = self.elsewhere()
        caller.do(StartGroupCall("band", "c"))
        other.take()
        caller.house.die()
        self.pass_time(12.0)
        self.assertEqual(self.told(other), [f"ended {caller.user}: {caller.user}"])

    # Nodes that were cut off

    def test_a_home_that_was_cut_off(self) -> None:
        self.call()
        home = self.home()
        home.way.mute = True
        self.pass_time(12.0)
        for session in self.band:
            if session.house is not home:
                self.assertEqual(self.told(session), ["ended alice: alice bob carol"])
        home.way.mute = False
        home.way.cut()
        self.pass_time(4.0)
        for session in self.band:
            expected = ["ended alice: alice bob carol"] if session.house is home else []
            self.assertEqual(self.told(session), expected)
        self.assertEqual(home.hub.calls._groups.home._by_group, {})
        self.assertEqual(home.hub.calls.counts.group_running, 0)
        self.call("again")

    def test_a_participant_that_was_cut_off(self) -> None:
        self.call()
        away, other = self.elsewhere()
        away.house.way.mute = True
        self.pass_time(12.0)
        in_it = " ".join(user for user in BAND if user != away.user)
        self.assertEqual(self.told(other), [f"left {away.user}: {in_it}"])
        away.house.way.mute = False
        away.house.way.cut()
        self.pass_time(4.0)
        self.assertEqual(self.told(away), ["ended alice: alice bob carol"])
        away.do(AnswerCall("c"))
        self.assertEqual(self.told(other)[-1].split(":")[0], f"joined {away.user}")
