"""Who takes a party's place in a call, and who does not."""

from __future__ import annotations

from imserver.model.calls import AnswerCall, CallFault, EndCall, RejectCall, StartCall
from tests.unit.services.call_world import ANSWER, SETTINGS, CallCase, ice, status

GRACE = SETTINGS.grace_seconds


class SameDevice(CallCase):
    """A client is back before the loss of its connection is noticed."""

    def test_it_takes_its_place(self) -> None:
        for user in ("alice", "bob"):
            with self.subTest(user=user):
                phones = {name: self.phone(name, device="mobile") for name in ("alice", "bob")}
                other = phones["bob" if user == "alice" else "alice"]
                self.talk(phones["alice"], phones["bob"], user)
                stranger = self.phone(user, device="tablet")
                self.assertIs(CallFault.NOT_PARTICIPANT, self.fault(stranger, StartCall("x", False, user)))
                back = self.phone(user, device="mobile")
                self.do(back, StartCall(other.user, False, user, b'{"sdp":"v=0 restart"}'))
                self.assertEqual(["OFFER"], [event.signal.name for event in other.take()])
                self.assertEqual(["stopped elsewhere"], self.told(phones[user]))
                # What the old one still had on its way takes nothing back, nor does its end.
                self.fault(phones[user], StartCall("x", False, user))
                self.node.leave(phones[user])
                self.clock.advance(GRACE + 1)
                self.do(back, ice(user))
                self.assertEqual(1, len(other.take()))
                self.do(back, EndCall(user))

    def test_only_of_a_device_with_a_name(self) -> None:
        alice, bob = self.phone("alice"), self.phone("bob")
        self.talk(alice, bob)
        again = self.phone("alice")
        self.assertIs(CallFault.NOT_PARTICIPANT, self.fault(again, ice("c1")))

    def test_while_it_rings(self) -> None:
        alice, bob = self.phone("alice", device="mobile"), self.phone("bob")
        self.ring(alice)
        back = self.phone("alice", device="mobile")
        self.do(back, status("c1", "here again"))
        self.do(bob, AnswerCall("c1", ANSWER))
        self.assertIn("answered v=0 answer", self.told(back))


class CrossedMessages(CallCase):
    """Devices that lost the race know it a little later."""

    def test_they_take_no_lost_place(self) -> None:
        for command in (RejectCall("c1"), ice("c1")):
            with self.subTest(command=command):
                alice, bob, late = self.phone("alice"), self.phone("bob"), self.phone("bob")
                self.ring(alice)
                self.do(bob, AnswerCall("c1", ANSWER))
                self.node.leave(bob)
                alice.take()
                self.do(late, command)
                self.assertEqual([], alice.take())
                back = self.phone("bob")
                self.do(back, status("c1", "back"))
                self.assertEqual(1, len(alice.take()))
                self.do(alice, EndCall("c1"))
                for phone in (alice, late, back):
                    self.node.leave(phone)
                self.clock.advance(61)
