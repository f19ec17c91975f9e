"""Calls between nodes, and what becomes of them when one of the nodes is lost."""

from __future__ import annotations

from typing import Any

from imserver.model.call_records import CallPage, ListCalls
from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallMedia,
    CallRinging,
    CallSignal,
    CallStopped,
    EndCall,
    Ending,
    Media,
    Signal,
    SignalCall,
    StartCall,
)
from imserver.model.errors import ErrorCode
from imserver.services.call_requests import call_slot, pair_key
from imserver.services.homes import marked_home
from imserver.services.rendezvous import draw
from tests.redis.house_world import House, HouseCase, Session
from tests.unit.services.call_world import in_short

RELAY, WEBRTC = Media.RELAY, Media.WEBRTC
ICE = SignalCall("c", Signal.ICE, b'{"ice":1}')
HEARD = CallAccepted | CallAnswered | CallEnded | CallIncoming | CallRinging | CallSignal | CallStopped


class CallsOverNodes(HouseCase):
    """Three nodes: the caller's, the callee's, and in most tests the home is a third one."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = self.open_houses("one", "two", "three")

    def phones(self, media: Media = WEBRTC) -> tuple[Session, Session]:
        """Alice's and bob's, on nodes that are not the home of their calls."""
        home = self.houses[0].cellar.bus.home(pair_key("alice", "bob"))
        away = [house for house in self.houses if house.node != home]
        return away[0].log_in("alice", media=media), away[1].log_in("bob", media=media)

    def home(self, call: str = "c") -> House:
        mark = self.wait_for(self.houses[0].cellar.bus.holder(call_slot(call)))
        return next(house for house in self.houses if house.node == marked_home(mark))

    def told(self, session: Session) -> list[str]:
        """What it heard of calls since the last time."""
        return [in_short(event) for event in session.take() if isinstance(event, HEARD)]

    def ring(self, caller: Session, callee: str = "bob", call: str = "c") -> None:
        caller.do(StartCall(callee, False, call, b'{"sdp":"v=0"}'))

    def talk(self, caller: Session, callee: Session, call: str = "c") -> str:
        """A running call; its id."""
        self.ring(caller, callee.user, call)
        (incoming,) = callee.take(CallIncoming)
        callee.do(AnswerCall(incoming.call, b'{"sdp":"v=0 answer"}'))
        caller.take()
        callee.take()
        return str(incoming.call)

    def record(self, session: Session) -> Any:
        page: CallPage = session.do(ListCalls())
        return page.calls[0]

    def test_a_claim_whose_answer_is_lost_leaves_nobody_busy(self) -> None:
        alice, bob = self.phones()
        for number in (1, 2, 3):
            self.lose_claim(number)
            self.assertEqual(ErrorCode.UNAVAILABLE, alice.refusal(StartCall("bob", False, "c", b"{}")))
            self.settle()
            self.assertEqual([], self.wait_for(self.link.call("KEYS", "t:sl:*")), number)
        self.talk(bob, alice)

    # While all is well

    def test_it_rings_everywhere_and_is_answered_once(self) -> None:
        alice = self.one.log_in("alice", media=WEBRTC)
        bobs = [house.log_in("bob", device=house.name, media=WEBRTC) for house in self.houses]
        self.ring(alice)
        self.assertEqual(["ringing"], self.told(alice))
        for bob in bobs:
            self.assertEqual(["incoming v=0"], self.told(bob))
        bobs[1].do(AnswerCall("c", b'{"sdp":"v=0 answer"}'))
        self.assertEqual(["answered v=0 answer"], self.told(alice))
        self.assertEqual(["accepted"], self.told(bobs[1]))
        for bob in (bobs[0], bobs[2]):
            self.assertEqual(["stopped elsewhere"], self.told(bob))
        alice.do(ICE)
        self.assertEqual(["ice 1"], self.told(bobs[1]))
        bobs[1].do(EndCall("c"))
        self.assertEqual(["ended hangup by bob"], self.told(alice))
        self.assertIs(Ending.HANGUP, self.record(alice).ending)

    def test_a_session_that_begins_while_it_rings(self) -> None:
        alice, bob = self.phones()
        self.ring(alice)
        self.told(bob)
        late = self.three.log_in("bob", device="late", media=WEBRTC)
        self.assertEqual(["incoming v=0"], self.told(late))

    def test_busy_and_glare(self) -> None:
        alice, bob = self.phones()
        carol = self.three.log_in("carol", media=WEBRTC)
        self.talk(alice, bob)
        self.ring(carol, "alice", "d")
        self.assertEqual(["ended busy"], self.told(carol))
        alice.do(EndCall("c"))
        self.told(bob)
        self.ring(bob, "alice", "e")
        self.ring(alice, "bob", "f")
        self.assertIn("ended busy (glare)", self.told(alice))
        self.assertEqual(["ringing"], self.told(bob))

    def test_media_goes_from_node_to_node(self) -> None:
        alice, bob = self.phones(RELAY)
        call = self.talk(alice, bob, "")
        alice.house.hub.media(alice.live, CallMedia(b"frame"))
        bob.house.hub.media(bob.live, CallMedia(b"other"))
        self.settle()
        self.assertEqual([CallMedia(b"frame", call)], bob.peer.pieces)
        self.assertEqual([CallMedia(b"other", call)], alice.peer.pieces)
        alice.do(EndCall())
        bob.house.hub.media(bob.live, CallMedia(b"late"))
        self.settle()
        self.assertEqual(1, len(alice.peer.pieces))

    def test_a_lost_connection_of_another_node(self) -> None:
        alice, bob = self.phones()
        self.talk(alice, bob)
        bob.close()
        self.pass_time(10.0)
        back = self.three.log_in("bob", media=WEBRTC)
        back.do(SignalCall("c", Signal.STATUS, b'{"status":"back"}'))
        self.assertEqual(["status back"], self.told(alice))
        back.close()
        self.pass_time(16.0)
        self.assertEqual(["ended lost"], self.told(alice))

    def test_a_call_stays_where_it_is_when_nodes_come(self) -> None:
        alice, bob = self.phones(RELAY)
        offer = StartCall("bob", False, "", b"{}")
        alice.do(offer)
        key, home = pair_key("alice", "bob"), self.houses[0].cellar.bus.home(pair_key("alice", "bob"))
        name = next(f"n{n}" for n in range(1000) if draw(f"n{n}:1", key) < draw(home, key))
        self.open_house(name)
        self.pass_time(2.0)
        self.assertEqual(f"{name}:1", alice.house.cellar.bus.home(key))
        alice.do(offer)  # the same again, as clients of document 000 do
        self.assertEqual(["ringing", "ringing"], self.told(alice))
        self.ring(bob, "alice", "")
        self.assertIn("ended busy (glare)", self.told(bob))

    # A home that is lost

    def test_a_call_whose_home_is_lost_ends(self) -> None:
        for media in (WEBRTC, RELAY):
            with self.subTest(media=media):
                alice, bob = self.phones(media)
                call = self.talk(alice, bob, "c" if media is WEBRTC else "")
                home = self.home(call)
                self.assertNotIn(home, (alice.house, bob.house))
                home.die()
                self.pass_time(12.0)
                for session in (alice, bob):
                    (ended,) = session.take(CallEnded)
                    self.assertEqual((call, Ending.SHUTDOWN), (ended.call, ended.ending))
                    self.assertGreater(ended.ended_at, ended.answered_at)
                    self.assertGreater(ended.answered_at, 0)
                record = self.record(alice)
                self.assertEqual((Ending.SHUTDOWN, True), (record.ending, record.ended_at > 0))
                # Both are free again.
                again = self.talk(alice, bob, "d" if media is WEBRTC else "")
                alice.do(EndCall(again))
                alice.close()
                bob.close()
                self.houses.remove(home)
                self.open_house(f"{home.name}-{media.value}")
                self.pass_time(3.0)

    def test_what_rings_stops(self) -> None:
        alice, bob = self.phones()
        self.ring(alice)
        self.told(alice)
        self.told(bob)
        self.home().die()
        self.pass_time(12.0)
        self.assertEqual(["ended shutdown"], self.told(alice))
        self.assertIn("stopped shutdown", self.told(bob))
        self.assertIs(Ending.SHUTDOWN, self.record(bob).ending)

    def test_a_session_that_came_back_is_told_too(self) -> None:
        alice, bob = self.phones()
        self.talk(alice, bob)
        home = self.home()
        bob.close()
        house = next(house for house in self.houses if house is not home)
        back = house.log_in("bob", media=WEBRTC)
        back.do(SignalCall("c", Signal.STATUS, b"{}"))
        home.die()
        self.pass_time(12.0)
        self.assertEqual(["ended shutdown"], self.told(back))

    # A party's node that is lost

    def test_relayed_calls_end_and_others_wait(self) -> None:
        alice, bob = self.phones(RELAY)
        self.talk(alice, bob, "")
        bob.house.die()
        self.pass_time(10.0)
        self.assertEqual(["ended lost"], self.told(alice))

    def test_a_party_comes_back_on_another_node(self) -> None:
        alice, bob = self.phones()
        self.talk(alice, bob)
        home = self.home()
        bob.house.die()
        self.pass_time(9.0)
        self.assertEqual([], self.told(alice))
        back = home.log_in("bob", media=WEBRTC)
        back.do(SignalCall("c", Signal.STATUS, b'{"status":"back"}'))
        self.assertEqual(["status back"], self.told(alice))
        alice.do(EndCall("c"))
        self.assertEqual(["ended hangup by alice"], self.told(back))

    def test_a_party_does_not_come_back(self) -> None:
        alice, bob = self.phones()
        self.talk(alice, bob)
        bob.house.die()
        self.pass_time(26.0)
        self.assertEqual(["ended lost"], self.told(alice))

    def test_a_device_that_rang_is_gone(self) -> None:
        alice, bob = self.phones()
        tablet = alice.house.log_in("bob", device="tablet", media=WEBRTC)
        self.ring(alice)
        bob.house.die()
        self.pass_time(10.0)
        call = self.home().hub.calls._home._calls["c"]
        self.assertEqual([tablet.live.principal.session], list(call.ringing))

    # A node that was cut off

    def test_calls_of_a_node_that_was_cut_off_are_over(self) -> None:
        alice, bob = self.phones(RELAY)
        self.talk(alice, bob, "")
        bob.house.way.mute = True
        self.pass_time(10.0)
        self.assertEqual(["ended lost"], self.told(alice))
        self.assertEqual([], self.told(bob))
        bob.house.way.mute = False
        bob.house.way.cut()
        self.pass_time(4.0)
        self.assertEqual(["ended shutdown"], self.told(bob))
        self.talk(alice, bob, "")

    def test_the_home_was_cut_off(self) -> None:
        alice, bob = self.phones()
        self.talk(alice, bob)
        home = self.home()
        home.way.mute = True
        self.pass_time(12.0)
        self.assertEqual((["ended shutdown"], ["ended shutdown"]), (self.told(alice), self.told(bob)))
        home.way.mute = False
        home.way.cut()
        self.pass_time(4.0)
        self.assertEqual(([], []), (self.told(alice), self.told(bob)))
        self.assertEqual({}, home.hub.calls._home._by_pair)
        self.talk(alice, bob, "d")

    def test_redis_was_away_and_the_call_goes_on(self) -> None:
        alice, bob = self.phones()
        self.talk(alice, bob)
        for house in self.houses:
            house.way.mute = True
            house.way.cut()
        self.pass_time(8.0)
        for house in self.houses:
            house.way.mute = False
            house.way.cut()
        self.pass_time(8.0)
        self.assertEqual(([], []), (self.told(alice), self.told(bob)))
        alice.do(EndCall("c"))
        self.assertEqual(["ended hangup by alice"], self.told(bob))

    def test_a_session_that_went_while_redis_was_away(self) -> None:
        alice, bob = self.phones(RELAY)
        self.talk(alice, bob, "")
        bob.house.way.mute = True
        bob.house.way.cut()
        self.pump.until(lambda: not bob.house.cellar.redis.connected)
        bob.live.close()
        self.pass_time(3.0)
        bob.house.way.mute = False
        bob.house.way.cut()
        self.pass_time(8.0)
        self.assertEqual(["ended lost"], self.told(alice))
