"""A connection to the meeting rooms, from frames in to bytes out, over the real services."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from imserver.protocols.connections import DoorLimits
from imserver.protocols.doors import Doors
from imserver.protocols.frames import TEXT, whole_frame
from imserver.wire.meeting import MeetingServerCodec
from tests.clients.meeting_client import check_answer, check_event
from tests.clients.websocket_client import FrameReader
from tests.unit.services.room_world import RoomCase


class Transport(StringTransport):
    """Remembers whether it was told to stop reading."""

    reading = True

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True


class Peer:
    """A client at the other end of a link.

    Attributes:
        goodbye_code: the close code.
    """

    def __init__(self, doors: Doors, token: str = "") -> None:
        self.transport = Transport()
        self.goodbye_code = 0
        self._reader = FrameReader()
        self.session = ""
        admission = doors.admit(IPv4Address("TCP", "127.0.0.1", 1))
        assert admission is not None
        protocol: Any = self
        self.link = doors.open(protocol, self.transport, MeetingServerCodec(token), admission)

    def frame(self, payload: bytes) -> bytes:
        return whole_frame(TEXT, payload)

    def ping(self) -> bytes:
        return b""

    def goodbye(self, code: int, text: str) -> None:
        self.goodbye_code = code

    def ask(self, method: str, data: Any = None, cseq: int = 1, **more: Any) -> None:
        """Sends a request."""
        message = {"cseq": cseq, "method": method, "session": self.session, "data": data or {}, **more}
        self.link.received(json.dumps(message).encode())

    def join(self, endpoint: str, cseq: int = 1) -> None:
        """Sends a join."""
        self.ask("channel.join", {"app": "app", "channel": "room", "endpoint": endpoint}, cseq)

    def told(self) -> list[dict[str, Any]]:
        """What came since it was last asked."""
        data = self.transport.value()
        self.transport.clear()
        found = [json.loads(frame.payload) for frame in self._reader.feed(data)]
        for message in found:
            if "session" in message.get("data", {}):
                self.session = message["data"]["session"]
        return found

    def lose(self) -> None:
        """The connection is gone."""
        self.link.lost()


class SessionCase(RoomCase):
    limits = DoorLimits(outbox_bytes=70_000, commands_per_second=1.0, command_burst=12.0)

    def setUp(self) -> None:
        super().setUp()
        hub: Any = self.hub
        self.doors = Doors(hub, self.clock, self.limits, self.hub.rooms)

    def peer(self, user: str = "") -> Peer:
        return Peer(self.doors, f"demo_token_{user}" if user else "")

    def member(self, user: str) -> Peer:
        """A peer that has joined."""
        peer = self.peer(user)
        peer.join(user)
        self.tell()
        (answer,) = peer.told()
        assert answer["err"] == 0, answer
        return peer


class OrderTests(SessionCase):
    def test_requests_wait_for_those_before_them(self) -> None:
        peer = self.peer("alice")
        peer.join("alice", 1)  # the account is made first, which takes a commit
        peer.ask("channel.dump", cseq=2)
        peer.join("alice", 3)
        self.assertEqual(peer.told(), [])
        self.tell()
        answers = peer.told()
        self.assertEqual([(one["cseq"], one["err"]) for one in answers], [(1, 0), (2, 4), (3, 6)])
        peer.ask("channel.dump", cseq=4)
        self.tell()
        (answer,) = peer.told()
        check_answer(answer, "channel.dump")
        self.assertEqual([one["endpoint"] for one in answer["data"]["endpoint_list"]], ["alice"])

    def test_when_much_waits_the_peer_is_not_read(self) -> None:
        peer = self.peer("alice")
        peer.join("alice")
        for number in range(63):
            peer.ask("channel.dump", cseq=number)
        self.assertTrue(peer.transport.reading)
        peer.ask("channel.dump", cseq=63)
        self.assertFalse(peer.transport.reading)
        self.tell()
        self.assertTrue(peer.transport.reading)
        self.assertEqual(len(peer.told()), 65)

    def test_too_many_requests(self) -> None:
        peer = self.member("alice")
        for _ in range(11):
            peer.ask("channel.dump")
        self.tell()
        self.assertEqual({one["err"] for one in peer.told()}, {0})
        peer.ask("channel.dump")
        peer.ask("channel.dump")
        self.tell()
        self.assertEqual([one["err"] for one in peer.told()], [9, 9])
        self.clock.advance(1)
        peer.ask("channel.dump")
        self.tell()
        self.assertEqual([one["err"] for one in peer.told()], [0])

    def test_a_fault_of_the_server_is_answered_and_closes(self) -> None:
        peer = self.member("alice")

        async def broken(place: Any, command: Any) -> None:
            raise ZeroDivisionError

        self.patch(self.hub.rooms, "handle", broken)
        peer.ask("channel.leave", cseq=9)
        self.tell()
        (answer,) = peer.told()
        self.assertEqual((answer["cseq"], answer["err"], peer.goodbye_code), (9, 99, 1011))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class JoinTests(SessionCase):
    def test_who_does_not_join_in_time_is_closed(self) -> None:
        peer, other = self.peer(), self.member("bob")
        peer.ask("channel.dump")
        self.clock.pump([1] * 9)
        self.assertEqual([one["err"] for one in peer.told()], [5])
        self.clock.pump([1] * 4)
        (answer,) = peer.told()
        self.assertEqual((answer["err"], answer["cseq"], peer.goodbye_code), (3, 0, 1008))
        self.assertEqual(other.goodbye_code, 0)

    def test_after_leaving_the_time_begins_anew(self) -> None:
        peer = self.member("alice")
        self.clock.pump([1] * 30)
        peer.ask("channel.leave")
        self.clock.pump([1] * 8)
        self.assertEqual([one["err"] for one in peer.told()], [0])
        peer.session = ""
        peer.join("alice")
        self.tell()
        (answer,) = peer.told()
        self.assertEqual(answer["err"], 0)
        peer.ask("channel.leave")
        self.clock.pump([1] * 13)
        self.assertEqual(peer.goodbye_code, 1008)

    def test_a_bad_token_is_answered_and_closes(self) -> None:
        peer = self.peer("a/b")
        peer.join("x", 5)
        peer.ask("channel.dump", cseq=6)
        self.tell()
        (answer,) = peer.told()
        self.assertEqual((answer["cseq"], answer["err"], peer.goodbye_code), (5, 3, 1008))
        self.assertEqual(self.doors.counter.strangers, 1)
        member = self.member("bob")
        self.assertEqual((self.doors.counter.strangers, member.goodbye_code), (1, 0))

    def test_a_connection_that_is_lost_while_it_joins(self) -> None:
        bob = self.member("bob")
        peer = self.peer("alice")
        peer.join("alice")
        peer.lose()
        self.tell()
        self.assertEqual(len(self.hub.rooms.registry), 1)
        self.assertEqual(self.connected(), {"bob": True, "alice": False})
        self.clock.pump([1] * 16)
        self.tell()
        self.assertEqual([one["data"]["stat"] for one in bob.told()], ["join", "leave"])


class NewsTests(SessionCase):
    def test_everybody_gets_his_own_session(self) -> None:
        people = [self.member(user) for user in ("alice", "bob", "carol")]
        for peer in people:
            peer.told()
        for number, peer in enumerate(people):
            peer.ask("broadcast", {"n": number, "x": "界" * 50 * number})
        self.tell()
        for number, peer in enumerate(people):
            answer, *events = peer.told()
            self.assertEqual(answer["err"], 0)
            for event in events:
                check_event(event, peer.session)
            numbers = [event["data"]["payload"]["n"] for event in events]
            self.assertEqual(numbers, [n for n in range(3) if n != number])

    def test_what_is_told_at_once_is_written_at_once(self) -> None:
        alice, bob = self.member("alice"), self.member("bob")
        alice.told()
        writes: list[bytes] = []
        self.patch(alice.transport, "write", writes.append)
        for number in range(5):
            bob.ask("broadcast", {"n": number})
        self.tell()
        self.assertEqual(len(writes), 1)
        self.assertEqual(len(FrameReader().feed(writes[0])), 5)

    def test_long_events_are_framed_rightly(self) -> None:
        alice, bob = self.member("alice"), self.member("bob")
        alice.told()
        for size in (0, 20, 65_300, 65_400):
            bob.ask("broadcast", {"x": "y" * size})
            self.tell()
            (event,) = alice.told()
            self.assertEqual(event["data"]["payload"], {"x": "y" * size})

    def test_who_does_not_read_is_closed_and_keeps_the_session(self) -> None:
        alice, bob = self.member("alice"), self.member("bob")
        alice.told()
        producer: Any = alice.transport.producer
        producer.pauseProducing()
        for _ in range(3):
            bob.ask("broadcast", {"x": "y" * 60_000})
            self.tell()
        self.assertEqual(alice.goodbye_code, 1008)
        self.assertEqual(self.connected(), {"alice": False, "bob": True})
        self.assertEqual(self.doors.tallies["meeting"].slow, 1)
        producer.resumeProducing()
        self.tell()
        self.assertEqual([one["data"] for one in alice.told()], [{"type": "too_slow"}])
        again = self.peer("alice")
        again.session = alice.session
        again.join("alice")
        self.tell()
        self.assertEqual(again.told()[0]["data"]["session"], alice.session)

    def test_a_goodbye_is_the_last_word(self) -> None:
        alice, bob = self.member("alice"), self.member("bob")
        alice.told()
        self.doors.shut_down()
        self.clock.pump([0.1] * 4)
        for peer in (alice, bob):
            self.assertEqual(peer.goodbye_code, 1001)
            self.assertEqual(peer.told()[-1]["data"], {"type": "shutdown"})
        self.assertEqual(len(self.hub.rooms.registry), 0)
        bob.ask("channel.dump")
        self.tell()
        self.assertEqual(bob.told(), [])
