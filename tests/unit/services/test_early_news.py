"""What is told to sessions whose log-in is about to be answered."""

from __future__ import annotations

from typing import Any

from imserver.model.calls import CallEnded, CallIncoming, CallRinging, Media, StartCall
from imserver.model.file_relays import RelayFailed, RelayOffered, RelaysRequested, RequestRelay
from imserver.services.early_news import MOST
from tests.redis.house_world import House, HouseCase, Session

WEBRTC, VOICE = Media.WEBRTC, Media.VOICE


class EarlyNewsTest(HouseCase):
    """The others reach them: whoever hears of the answer may be faster than their own node is."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open_houses("one", "two")
        for house in self.houses:
            house.hub.relays.ports = (9500, 9501)

    def offer(self, sender: Session) -> str:
        reply: RelaysRequested = sender.do(RequestRelay("a.bin", 5, "", recipient="bob"))
        (relay,) = reply.relays
        return relay.relay

    def relays(self, session: Session) -> list[Any]:
        return [event.relay for event in session.take(RelayOffered)]

    def test_a_file_is_offered_to_them(self) -> None:
        alice = self.one.log_in("alice", media=VOICE)
        for house in (self.two, self.one):
            phone = self.two.log_in("bob", media=VOICE)
            tablet = house.enter("bob", media=VOICE)
            offers = [self.offer(alice), self.offer(alice)]
            self.assertEqual(offers, self.relays(phone))
            self.assertEqual([], tablet.take())
            tablet.live.start()
            self.assertEqual(offers, self.relays(tablet))
            self.settle()
            self.assertEqual([], tablet.take())
            for session in (phone, tablet):
                session.close()

    def test_what_was_said_last_is_told_last(self) -> None:
        alice = self.one.log_in("alice", media=VOICE)
        bob = self.two.enter("bob", media=VOICE)
        self.offer(alice)
        alice.close()
        bob.live.start()
        self.assertEqual([RelayOffered, RelayFailed], [type(event) for event in bob.take()])

    def test_a_call_rings_there_once(self) -> None:
        for house in self.houses:
            alice = self.one.log_in("alice", media=WEBRTC)
            bob = house.enter("bob", media=WEBRTC)
            alice.do(StartCall("bob", False, "", b"{}"))
            self.assertEqual(1, len(alice.take(CallRinging)))
            self.assertEqual([], bob.take())
            bob.live.start()
            self.settle()
            self.assertEqual(1, len(bob.take(CallIncoming)))
            alice.close()
            self.pass_time(61.0)
            bob.close()

    def test_a_log_in_that_failed_in_the_end_was_nobody(self) -> None:
        alice = self.one.log_in("alice", media=WEBRTC)
        bob = self.two.enter("bob", media=WEBRTC)
        alice.do(StartCall("bob", False, "", b"{}"))
        bob.close()
        self.assertEqual([], bob.take())
        self.assertEqual(0, len(self.two.hub.early_news))
        self.pass_time(61.0)
        self.assertEqual(1, len(alice.take(CallEnded)))
        # Nor is anything kept that comes later.
        self.tell(self.two, bob, RelayFailed("r", "bob", "a", ""))
        self.assertEqual(0, len(self.two.hub.early_news))

    def test_only_so_much_waits(self) -> None:
        bob = self.two.enter("bob", media=VOICE)
        for number in range(MOST + 5):
            self.tell(self.two, bob, RelayOffered(str(number), "alice", "a", 5, ""))
        bob.live.start()
        self.assertEqual([str(number) for number in range(MOST)], self.relays(bob))

    def tell(self, house: House, session: Session, event: Any) -> None:
        house.hub._on_tell(session.user, session.live.principal.session, event, "one:1")
