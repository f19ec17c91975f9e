"""Calls between sessions of one hub: the whole floor, on one node."""

from __future__ import annotations

from typing import Any, cast

from imserver.model.calls import (
    AnswerCall,
    CallAccepted,
    CallAnswered,
    CallEnded,
    CallIncoming,
    CallMedia,
    CallRecord,
    CallRinging,
    CallStopped,
    EndCall,
    Ending,
    Media,
    StartCall,
)
from imserver.services.delivery import LiveSession
from imserver.services.ports import Store
from tests.unit.services.hub_world import HubCase, Peer


class RecordingStore:
    """A store that shows which records of calls it was given.

    Attributes:
        records: those, in order.
    """

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.records: list[CallRecord] = []

    async def record_call(self, record: CallRecord) -> None:
        self.records.append(record)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class CallHubCase(HubCase):
    """Two users with telephones.

    Attributes:
        records: what the store was given, in order.
    """

    def store(self) -> Store:
        recording = RecordingStore(super().store())
        self.records = recording.records
        return cast(Store, recording)

    def phone(self, user: str, media: Media = Media.RELAY, device: str = "") -> tuple[LiveSession, Peer]:
        """A session that can call."""
        return self.log_in(user, device, media=media)

    def do(self, live: LiveSession, command: Any) -> Any:
        """A command that is not refused."""
        return self.wait(self.hub.handle(live, command))


class OneCall(CallHubCase):
    def test_relayed(self) -> None:
        """Offer, answer, media, end: each side is told what happens, and the record says the same."""
        alice, at_alice = self.phone("alice")
        bob, at_bob = self.phone("bob")
        self.do(alice, StartCall("bob", video=True))
        (incoming,) = at_bob.events
        self.assertIsInstance(incoming, CallIncoming)
        self.assertEqual((incoming.caller, incoming.callee, incoming.video), ("alice", "bob", True))
        self.assertEqual([type(event) for event in at_alice.events], [CallRinging])
        call = incoming.call
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
        self.assertEqual([record.ending for record in self.records], [None, None, Ending.HANGUP])
        self.assertEqual(self.records[-1].answered_at, ended.answered_at)
        self.do(bob, StartCall("alice", video=False))  # nobody is busy any more
        self.assertIsInstance(at_alice.events[-1], CallIncoming)

    def test_answered_elsewhere(self) -> None:
        """The first of several devices that answers has the call; the others stop ringing."""
        alice, _ = self.phone("alice", Media.WEBRTC)
        _, first = self.phone("bob", Media.WEBRTC, "one")
        two, second = self.phone("bob", Media.WEBRTC, "two")
        self.do(alice, StartCall("bob", video=False, call="c1", detail=b'{"sdp":"v=0"}'))
        self.do(two, AnswerCall("c1"))
        self.assertEqual([type(event) for event in second.events], [CallIncoming, CallAccepted])
        self.assertEqual([type(event) for event in first.events], [CallIncoming, CallStopped])
        self.assertIsNone(first.events[-1].ending)
