"""What every bus must do, on one node as on several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from imserver.model.accounts import KickReason, SessionKicked
from imserver.model.calls import CallMedia, EndCall, Media
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Done, TypingChanged
from imserver.model.rooms import RoomError, RoomFault
from imserver.services.call_requests import Act
from imserver.services.ports import Seat
from tests.contracts.cellar_case import CellarCase


class BusSuite(CellarCase):
    """A bus whose node is the only one."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob")
        self.bus = self.cellar.bus
        self.told: list[Any] = []
        self.refusal: Exception | None = None
        self.sessions: dict[str, list[Seat]] = {}
        self.ranks: dict[str, int] = {}
        self.bus.attach(self.on_event, lambda *kick: self.told.append(kick))
        self.bus.serve(
            lambda user: self.sessions.get(user, ()), lambda *told: self.told.append(told), self.handle
        )
        self.bus.attendance.serve(lambda user: self.ranks.get(user, 0), 64)

    def on_event(self, users: Iterable[str], event: Any, origin: str) -> None:
        self.told.append((sorted(users), event, origin))

    async def handle(self, request: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        return Done()

    def seat(self, user: str, session: str, media: Media = Media.NONE) -> Seat:
        return Seat(user, session, self.bus.node, media, "phone")

    def enter(self, user: str, rank: int, *seats: Seat) -> None:
        self.sessions[user] = list(seats)
        self.ranks[user] = rank
        self.assertEqual([], list(self.wait_for(self.bus.attendance.enter(user))))

    def test_events_and_kicks_reach_the_consumers(self) -> None:
        typing = TypingChanged("c", "alice", True)
        kicked = SessionKicked(KickReason.ACCOUNT, "bye")
        self.bus.publish(["bob", "alice"], typing, "s1")
        self.bus.kick("alice", kicked, sid="grant")
        self.bus.kick("alice", kicked, session="s2")
        self.settle()
        self.assertEqual(
            [(["alice", "bob"], typing, "s1"), ("alice", "grant", "", kicked), ("alice", "", "s2", kicked)],
            self.told,
        )

    def test_what_is_told_comes_in_order(self) -> None:
        phone, tablet = self.seat("alice", "s1"), self.seat("alice", "s2")
        events = [TypingChanged("c", user, True) for user in ("a", "b", "c")]
        for event in events:
            self.bus.tell(phone, event)
        self.bus.tell(tablet, CallMedia(b"x", "c"))
        self.settle()
        node = self.bus.node
        expected: list[Any] = [("alice", "s1", event, node) for event in events]
        self.assertEqual([*expected, ("alice", "s2", CallMedia(b"x", "c"), node)], self.told)

    def test_what_is_asked_is_answered(self) -> None:
        home = self.bus.home("a pair")
        self.assertEqual(home, self.bus.home("a pair"))
        self.assertEqual([home], list(self.bus.nodes))
        self.assertEqual(home, self.bus.node)
        act = Act("c", self.seat("alice", "s"), EndCall("c"))
        self.assertEqual(Done(), self.wait_for(self.bus.ask(home, act)))
        self.refusal = ImError(ErrorCode.NOT_FOUND, "there is none")
        self.assertEqual(ErrorCode.NOT_FOUND, self.error_of(self.bus.ask(home, act)))
        self.refusal = RoomError(RoomFault.FULL, "full")
        with self.assertRaises(RoomError):
            self.wait_for(self.bus.ask(home, act))

    def test_a_slot_is_somebodys(self) -> None:
        bus = self.bus
        self.assertEqual("", self.wait_for(bus.holder("busy")))
        self.assertEqual("one", self.wait_for(bus.claim("busy", "one")))
        self.assertEqual("one", self.wait_for(bus.claim("busy", "one")))
        self.assertEqual("one", self.wait_for(bus.claim("busy", "two")))
        self.assertEqual("two", self.wait_for(bus.claim("other", "two")))
        bus.release("busy", "two")
        self.settle()
        self.assertEqual("one", self.wait_for(bus.holder("busy")))
        bus.release("busy", "one")
        bus.release("busy", "one")
        self.settle()
        self.assertEqual("", self.wait_for(bus.holder("busy")))
        self.assertEqual("two", self.wait_for(bus.claim("busy", "two")))

    def test_a_slot_is_free_before_whatever_comes_after(self) -> None:
        self.wait_for(self.bus.claim("busy", "one"))
        self.bus.release("busy", "one")
        self.assertEqual("two", self.wait_for(self.bus.claim("busy", "two")))

    def test_who_is_connected(self) -> None:
        phone, tablet = self.seat("alice", "s1", Media.WEBRTC), self.seat("alice", "s2")
        self.enter("alice", 3, phone)
        self.enter("alice", 3, phone, tablet)
        entering = self.seat("bob", "s3")
        self.enter("bob", 0, entering)
        self.assertEqual([phone, tablet], list(self.wait_for(self.bus.seats("alice"))))
        self.assertEqual([entering], list(self.wait_for(self.bus.seats("bob"))))
        self.assertEqual([3, 0, 0], list(self.wait_for(self.bus.attendance.ranks(["alice", "bob", "carol"]))))
        self.sessions["alice"] = [tablet]
        self.ranks["alice"] = 1
        self.bus.attendance.changed("alice")
        self.assertEqual([tablet], list(self.wait_for(self.bus.seats("alice"))))
        self.assertEqual([1], list(self.wait_for(self.bus.attendance.ranks(["alice"]))))
        self.assertEqual([], list(self.wait_for(self.bus.attendance.ranks([]))))

    def test_what_was_announced_stands_beside_what_is_so(self) -> None:
        attendance = self.bus.attendance
        self.assertEqual((0, 0), tuple(self.wait_for(attendance.standing("alice"))))
        self.enter("alice", 2, self.seat("alice", "s"))
        self.assertEqual((2, 0), tuple(self.wait_for(attendance.standing("alice"))))
        self.wait_for(attendance.announced("alice", 2))
        self.ranks["alice"] = 0
        self.sessions["alice"] = []
        attendance.changed("alice")
        self.assertEqual((0, 2), tuple(self.wait_for(attendance.standing("alice"))))
        self.wait_for(attendance.announced("alice", 0))
        self.assertEqual((0, 0), tuple(self.wait_for(attendance.standing("alice"))))
