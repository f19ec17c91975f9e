"""Calls between sessions of one hub: the whole service floor over the real engine, on one node."""

from __future__ import annotations

from typing import Any

from imserver.model.accounts import LogOut, Principal
from imserver.model.call_records import CallMissed, CallRecord, ListCalls
from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallMedia,
    CallRinging,
    CallStopped,
    EndCall,
    Ending,
    Media,
    StartCall,
)
from imserver.services.delivery import LiveSession
from tests.unit.services.hub_world import HubCase, Peer

OFFER = b'{"sdp":"v=0"}'


class CallHubCase(HubCase):
    """People with telephones."""

    def phone(self, user: str, media: Media = Media.RELAY, device: str = "") -> tuple[LiveSession, Peer]:
        """A session that can call."""
        return self.log_in(user, device, media=media)

    def do(self, live: LiveSession, command: Any) -> Any:
        """A command that is not refused."""
        return self.wait(self.hub.handle(live, command))

    def records(self, user: str) -> list[CallRecord]:
        """The user's, newest first, as REST asks for them: without a live session."""
        self.settle()
        principal = Principal(user, "", "rest")
        page = self.wait(self.hub.dispatch.handle(principal, ListCalls()))
        return list(page.calls)

    def kinds(self, peer: Peer) -> list[type]:
        return [type(event) for event in peer.events]


class OneCall(CallHubCase):
    def test_relayed(self) -> None:
        """Offer, answer, media, end: each side is told what happens, and the record says the same."""
        alice, at_alice = self.phone("alice")
        bob, at_bob = self.phone("bob")
        self.do(alice, StartCall("bob", video=True))
        (incoming,) = at_bob.events
        self.assertIsInstance(incoming, CallIncoming)
        self.assertEqual((incoming.caller, incoming.callee, incoming.video), ("alice", "bob", True))
        self.assertEqual(self.kinds(at_alice), [CallRinging])
        call = incoming.call
        (record,) = self.records("bob")
        self.assertEqual((record.call, record.ending), (call, None))
        self.clock.advance(5)
        self.do(bob, AnswerCall(call))
        self.assertIsInstance(at_alice.events[-1], CallAnswered)
        self.assertIsInstance(at_bob.events[-1], CallAccepted)
        self.hub.media(alice, CallMedia(b"from alice"))
        self.hub.media(bob, CallMedia(b"from bob"))
        self.assertEqual(at_bob.pieces, [CallMedia(b"from alice", call)])
        self.assertEqual(at_alice.pieces, [CallMedia(b"from bob", call)])
        self.clock.advance(60)
        self.do(alice, EndCall())
        for peer in (at_alice, at_bob):
            ended = peer.events[-1]
            self.assertIsInstance(ended, CallEnded)
            self.assertEqual((ended.ending, ended.by, ended.duration), (Ending.HANGUP, "alice", 60))
        self.hub.media(alice, CallMedia(b"late"))
        self.assertEqual(len(at_bob.pieces), 1)
        for user in ("alice", "bob"):
            (record,) = self.records(user)
            self.assertEqual((record.ending, record.by), (Ending.HANGUP, "alice"))
            self.assertEqual(record.answered_at, ended.answered_at)
        self.do(bob, StartCall("alice", video=False))  # nobody is busy any more
        self.assertIsInstance(at_alice.events[-1], CallIncoming)

    def test_answered_elsewhere(self) -> None:
        """The first of several devices that answers has the call; the others stop ringing."""
        alice, _ = self.phone("alice", Media.WEBRTC)
        _, first = self.phone("bob", Media.WEBRTC, "one")
        two, second = self.phone("bob", Media.WEBRTC, "two")
        self.do(alice, StartCall("bob", video=False, call="c1", detail=OFFER))
        self.do(two, AnswerCall("c1"))
        self.assertEqual(self.kinds(second), [CallIncoming, CallAccepted])
        self.assertEqual(self.kinds(first), [CallIncoming, CallStopped])
        self.assertIsNone(first.events[-1].ending)


class Sessions(CallHubCase):
    """When a session can be reached, and when no more."""

    def test_a_session_rings_from_its_start(self) -> None:
        alice, _ = self.phone("alice", Media.WEBRTC)
        _, at_bob = self.phone("bob", Media.WEBRTC)
        peer = Peer()
        late, _ = self.enter("bob", peer, "late", media=Media.WEBRTC)
        self.do(alice, StartCall("bob", video=False, call="c1", detail=OFFER))
        self.assertEqual((self.kinds(at_bob), peer.events), ([CallIncoming], []))
        late.start()
        self.settle()
        self.assertEqual(self.kinds(peer), [CallIncoming])

    def test_a_session_that_logs_out_has_no_calls(self) -> None:
        alice, _ = self.phone("alice")
        bob, at_bob = self.phone("bob")
        self.do(alice, StartCall("bob", video=False))
        self.do(bob, AnswerCall(at_bob.events[0].call))
        alice.close()
        self.do(alice, LogOut())
        self.assertEqual(at_bob.events[-1].ending, Ending.LOST)

    def test_missed_by_who_was_not_there(self) -> None:
        alice, at_alice = self.phone("alice", Media.WEBRTC)
        self.phone("bob")[0].close()
        self.do(alice, StartCall("bob", video=True, call="c1", detail=OFFER))
        self.assertEqual(at_alice.events[-1].ending, Ending.OFFLINE)
        _, at_bob = self.phone("bob", Media.WEBRTC)
        self.assertEqual([event.call for event in at_bob.events if isinstance(event, CallMissed)], ["c1"])

    def test_the_server_goes_down(self) -> None:
        alice, at_alice = self.phone("alice", Media.WEBRTC)
        _, at_bob = self.phone("bob", Media.WEBRTC)
        self.do(alice, StartCall("bob", video=True, call="c1", detail=OFFER))
        self.hub.shut_down()
        self.assertEqual(at_alice.events[-1].ending, Ending.SHUTDOWN)
        self.assertEqual(at_bob.events[-1].ending, Ending.SHUTDOWN)
        self.assertEqual(self.records("bob")[0].ending, Ending.SHUTDOWN)
