"""The QDataStream door: both framings on one port, refusals, time, one message per write if unframed."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import LogIn, Ping, Pong
from imserver.model.call_records import CallMissed
from imserver.model.calls import RejectCall
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import FriendChange, FriendChanged
from imserver.model.messages import MessageRevoked, MessagesRead, SendMessage
from imserver.protocols.formats import CodecOptions, Door, stream_factory
from imserver.protocols.qdatastream import QDataStreamProtocol
from imserver.services.outgoing import Outgoing
from tests.unit.protocols.stub import StubHub, doors
from tests.unit.wire.qdatastream_samples import CALL, REGISTRATION, STRINGS
from tests.unit.wire.test_qdatastream_golden import message

LOGIN = b"\x08\x00\x05alice\x00\x02pw"
TEXT = b"\x00\x00\x03bob\x00\x02hi"


def framed(*messages: bytes) -> bytes:
    return b"".join(len(data).to_bytes(2, "big") + data for data in messages)


class Transport(StringTransport):
    """Counts writes."""

    def __init__(self) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.1", 1))
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)


class Peer:
    """A peer over a memory transport and a Clock; the hub echoes and accepts."""

    def __init__(self, hub: StubHub | None = None, **options: Any) -> None:
        self.hub = hub or StubHub()
        self.hub.outcomes.setdefault(Ping, Pong(0.0))
        self.doors = doors(self.hub)
        assert isinstance(self.doors.clock, Clock)
        self.clock = self.doors.clock
        self.transport = Transport()
        factory = stream_factory(
            "qdatastream", self.doors, CodecOptions(lambda: 0.0, **{"auth": "none", **options})
        )
        protocol = factory.buildProtocol(self.transport.getPeer())
        assert isinstance(protocol, QDataStreamProtocol)
        self.protocol = protocol
        protocol.makeConnection(self.transport)

    def say(self, *reads: bytes) -> None:
        for data in reads:
            self.protocol.dataReceived(data)

    def heard(self) -> bytes:
        """What was written since the last call."""
        for _ in range(10):
            self.clock.advance(0.002)
        written = b"".join(self.transport.writes)
        self.transport.writes.clear()
        return written

    @property
    def commands(self) -> list[Any]:
        return self.hub.done

    def push(self, text: str) -> None:
        self.hub.receivers[0].push(Outgoing(message(text)), 1)


class Framings(SynchronousTestCase):
    def test_both_on_one_port(self) -> None:
        peer = Peer()
        peer.say(framed(REGISTRATION, b"\x07", TEXT))
        self.assertEqual([type(command) for command in peer.commands], [LogIn, Ping, SendMessage])
        self.assertEqual(peer.heard(), framed(b"\x07"))
        peer = Peer()
        peer.say(REGISTRATION + b"\x07" + TEXT)
        self.assertEqual([type(command) for command in peer.commands], [LogIn, Ping, SendMessage])
        self.assertEqual(peer.heard(), b"\x07")

    def test_every_cut(self) -> None:
        for data, echo in (
            (framed(REGISTRATION, b"\x07", TEXT), framed(b"\x07")),
            (REGISTRATION + b"\x07" + TEXT, b"\x07"),
        ):
            for end in range(len(data) + 1):
                peer = Peer()
                peer.say(data[:end], data[end:])
                self.assertEqual([type(command) for command in peer.commands], [LogIn, Ping, SendMessage])
                self.assertEqual(peer.heard(), echo)

    def test_a_listener_with_one_framing(self) -> None:
        peer = Peer(framing="none")
        peer.say(REGISTRATION)
        self.assertEqual(len(peer.commands), 1)
        peer = Peer(framing="int16")
        peer.say(REGISTRATION)
        self.assertEqual(peer.commands, [])
        peer = Peer(framing="int16")
        peer.say(framed(REGISTRATION))
        self.assertEqual(len(peer.commands), 1)

    def test_a_first_message_that_registers_and_sends(self) -> None:
        first = b"\x00\x00\x05alice"
        for data in (framed(first + TEXT[1:]), first + TEXT[1:]):
            peer = Peer()
            peer.say(data)
            self.assertEqual([type(command) for command in peer.commands], [LogIn, SendMessage])

    def test_what_came_after_the_registration_waits_for_it(self) -> None:
        hub = StubHub()
        hub.hold = True
        peer = Peer(hub)
        peer.say(REGISTRATION + TEXT + TEXT)
        self.assertEqual([type(command) for command in hub.done], [LogIn])
        hub.release()
        self.assertEqual([type(command) for command in hub.done], [LogIn, SendMessage, SendMessage])


class Closing(SynchronousTestCase):
    def test_what_is_no_opening_is_closed_without_a_word(self) -> None:
        for data in (
            b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02", b"\x0a\x00\x01a", b"\x07\x00\x03a/b",
            framed(b"\x07\x00\x03a/b"), framed(b"\x0a\x00\x01a"), framed(b"\x07"),
        ):  # fmt: skip
            peer = Peer()
            peer.say(data.ljust(4, b"\x00") if data == framed(b"\x07") else data)
            self.assertEqual(peer.heard(), b"", data)
            self.assertTrue(peer.transport.disconnecting, data)
            self.assertEqual(peer.commands, [])

    def test_fewer_than_four_bytes_in_ten_seconds(self) -> None:
        for sent in (b"", b"\x07\x00\x07"):
            peer = Peer()
            peer.say(sent)
            peer.clock.pump([1.0] * 9)
            self.assertFalse(peer.transport.disconnecting)
            peer.clock.pump([1.0] * 4)
            self.assertTrue(peer.transport.disconnecting)
            self.assertEqual(peer.heard(), b"")

    def test_a_malformed_frame_is_answered_and_the_connection_kept(self) -> None:
        peer = Peer()
        peer.say(framed(REGISTRATION, b"\x00\x00\x03bob", b"\xc8", b"", b"\x07"))
        answers = peer.heard()
        self.assertIn(b"\x0b\x00\x01\x90", answers)
        self.assertIn(b"\x0b\xc8\x01\x94", answers)
        self.assertIn(b"\x0b\xff\x01\x90", answers)
        self.assertTrue(answers.endswith(framed(b"\x07")))
        self.assertFalse(peer.transport.disconnecting)

    def test_an_unframed_stream_that_cannot_go_on_is_closed(self) -> None:
        peer = Peer()
        peer.say(REGISTRATION + b"\x07\xc8\x07")
        self.assertEqual([type(command) for command in peer.commands], [LogIn, Ping])
        peer.heard()
        self.assertTrue(peer.transport.disconnecting)

    def test_refused_log_in_is_kept_refused_registration_is_not(self) -> None:
        for data, closed in ((LOGIN, False), (REGISTRATION, True), (REGISTRATION + b"\x00\x01t", True)):
            for wrap in (framed, bytes):
                if wrap is bytes and len(data) > len(REGISTRATION) and data[0] == 7:
                    continue
                hub = StubHub()
                hub.outcomes[LogIn] = ImError(ErrorCode.AUTH_FAILED, "no")
                peer = Peer(hub)
                peer.say(wrap(data))
                self.assertEqual(peer.heard(), wrap(b"\x0a\x00\x00\x02no"))
                self.assertEqual(peer.transport.disconnecting, closed)
        hub.outcomes[LogIn] = "ok"

    def test_log_in_again_after_a_refusal(self) -> None:
        hub = StubHub()
        hub.outcomes[LogIn] = ImError(ErrorCode.AUTH_FAILED, "no")
        peer = Peer(hub)
        peer.say(LOGIN, TEXT)
        self.assertEqual(peer.heard(), b"\x0a\x00\x00\x02no")
        hub.outcomes[LogIn] = "ok"
        peer.say(LOGIN, TEXT)
        self.assertEqual(peer.heard(), b"\x0a\x01\x00\x01t\x00\x05alice")
        self.assertEqual([type(command) for command in hub.done], [LogIn, LogIn, SendMessage])

    def test_where_a_password_is_needed(self) -> None:
        peer = Peer(auth="password")
        peer.say(framed(REGISTRATION))
        self.assertEqual(peer.heard()[2:4], b"\x0a\x00")
        self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(peer.commands, [])


class Time(SynchronousTestCase):
    def test_a_reject_settles_after_half_a_second(self) -> None:
        peer = Peer()
        peer.say(REGISTRATION + b"\x04" + STRINGS["qstring"](CALL))
        self.assertEqual(len(peer.commands), 1)
        peer.clock.advance(0.49)
        self.assertEqual(len(peer.commands), 1)
        peer.clock.advance(0.02)
        self.assertEqual(peer.commands[1:], [RejectCall(CALL)])

    def test_nothing_is_left_behind_by_a_lost_connection(self) -> None:
        peer = Peer()
        peer.say(REGISTRATION + b"\x04" + STRINGS["qstring"](CALL))
        peer.protocol.connectionLost(Failure(ConnectionDone()))
        peer.clock.advance(1.0)
        self.assertEqual(len(peer.commands), 1)
        self.assertEqual(peer.clock.getDelayedCalls(), [])


class Writing(SynchronousTestCase):
    def test_framed_messages_are_joined(self) -> None:
        peer = Peer()
        peer.say(framed(REGISTRATION))
        for text in "abc":
            peer.push(text)
        peer.clock.advance(0)
        self.assertEqual(len(peer.transport.writes), 1)

    def test_unframed_messages_are_written_one_by_one(self) -> None:
        peer = Peer()
        peer.say(REGISTRATION)
        for text in "abc":
            peer.push(text)
        expected = [b"\x00" + b"".join(map(STRINGS["qstring"], ("bob", text))) for text in "abc"]
        for count in (1, 2, 3):
            peer.clock.advance(0.002 if count > 1 else 0)
            self.assertEqual(peer.transport.writes, expected[:count])
        peer.clock.advance(1.0)
        self.assertEqual(peer.transport.writes, expected)

    def test_messages_that_are_not_sent_count_as_delivered(self) -> None:
        for sender, writes in (("bob", 1), ("alice", 0)):
            peer = Peer()
            peer.say(framed(b"\x07\x00\x05alice"))
            peer.hub.receivers[0].push(Outgoing(message("x", sender=sender, recipient="carol")), 1)
            peer.clock.pump([0.0, 0.06])
            self.assertEqual(len(peer.transport.writes), writes)
            self.assertIn("delivered", peer.hub.attachments[0].told)

    def test_changes_without_words_here_count_as_told(self) -> None:
        for event in (
            MessageRevoked("m1", "c", "c", "bob", 1.0),
            MessagesRead(("m1",), "c", "c", "bob", 1.0),
            CallMissed("c1", "bob", "alice", True, 1.0, 2.0),
            FriendChanged(FriendChange.REQUESTED, "alice", "bob", 1.0, 7, "hi"),
        ):
            peer = Peer()
            peer.say(framed(b"\x07\x00\x05alice"))
            peer.clock.pump([0.0, 0.06])
            self.assertNotIn("delivered", peer.hub.attachments[0].told)
            self.assertTrue(peer.hub.receivers[0].notify(event))
            peer.clock.pump([0.0, 0.06])
            self.assertEqual(peer.transport.writes, [])
            self.assertIn("delivered", peer.hub.attachments[0].told, event)

    def test_what_it_sent_itself_counts_as_delivered(self) -> None:
        peer = Peer()
        peer.say(framed(REGISTRATION, TEXT))
        peer.clock.pump([0.0, 0.06])
        self.assertNotIn("delivered", peer.hub.attachments[0].told)
        peer.hub.answer()
        peer.clock.pump([0.0, 0.06])
        self.assertIn("delivered", peer.hub.attachments[0].told)


class Table(SynchronousTestCase):
    def test_it_is_a_format_of_streams(self) -> None:
        from imserver.protocols.formats import FORMATS, websocket_factory

        self.assertIs(FORMATS["qdatastream"].door, Door.MESSAGES)
        peer = Peer()
        self.assertRaises(ValueError, websocket_factory, "qdatastream", peer.doors, CodecOptions(lambda: 0.0))
