"""Peers that cannot be told that they are too fast are read more slowly; nothing is refused or lost."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.accounts import KickReason, LogIn, Ping, SessionKicked
from imserver.model.calls import RejectCall
from imserver.model.files import SendChunk
from imserver.model.messages import SendMessage
from imserver.protocols.connections import DoorLimits
from imserver.protocols.session import SMALL_CHUNK
from imserver.protocols.turns import QUEUED_FRAMES
from tests.unit.protocols.stub import StubHub
from tests.unit.protocols.test_qdatastream import Peer, framed
from tests.unit.wire.qdatastream_samples import REGISTRATION


def text(number: int) -> bytes:
    """A TEXT of four digits."""
    return b"\x00\x00\x03bob\x00\x04%04d" % number


class Slowing(SynchronousTestCase):
    def setUp(self) -> None:
        self.hub = StubHub()
        self.hub.allowed = 3
        self.peer = Peer(self.hub)

    def sent(self) -> list[int]:
        """What got to the hub."""
        return [int(c.content.data) for c in self.hub.done if type(c) is SendMessage]

    @property
    def reading(self) -> bool:
        return self.peer.transport.producerState == "producing"

    def allow(self, count: int) -> None:
        """The rate lets this many more through, and the time comes."""
        self.hub.allowed = count
        self.peer.clock.advance(0.5)

    def test_texts_wait_for_the_rate_in_order(self) -> None:
        self.peer.say(REGISTRATION + b"".join(map(text, range(10))))
        self.assertEqual(self.sent(), [0, 1, 2])
        self.assertFalse(self.reading)
        self.peer.clock.advance(0.49)
        self.assertEqual(self.sent(), [0, 1, 2])
        # Somebody else of the same user took what there was: another wait.
        self.peer.clock.advance(0.01)
        self.assertEqual(self.sent(), [0, 1, 2])
        self.allow(1)
        self.assertEqual(self.sent(), [0, 1, 2, 3])
        self.assertFalse(self.reading)
        self.allow(100)
        self.assertEqual(self.sent(), list(range(10)))
        self.assertTrue(self.reading)
        self.assertEqual(self.peer.heard(), b"")

    def test_the_last_one_alone(self) -> None:
        self.peer.say(REGISTRATION, *map(text, range(4)))
        self.assertEqual(self.sent(), [0, 1, 2])
        self.assertFalse(self.reading)
        self.allow(1)
        self.assertEqual(self.sent(), [0, 1, 2, 3])
        self.assertTrue(self.reading)

    def test_what_follows_waits_behind_it(self) -> None:
        self.peer.say(REGISTRATION + b"".join(map(text, range(4))) + b"\x07" + text(4))
        self.hub.answer(3)
        self.assertEqual(self.peer.heard(), b"")
        self.allow(1)
        self.assertEqual(self.sent(), [0, 1, 2, 3])
        # The echo still means that what came before it is durable.
        self.assertNotIn(Ping, map(type, self.hub.done))
        self.hub.answer()
        self.assertEqual(self.peer.heard(), b"\x07")
        self.allow(1)
        self.assertEqual(self.sent(), [0, 1, 2, 3, 4])

    def test_room_in_the_outbox_does_not_wake_it(self) -> None:
        self.peer.say(REGISTRATION + b"".join(map(text, range(4))))
        self.peer.protocol._link.session.drained()
        self.assertFalse(self.reading)
        self.assertEqual(self.sent(), [0, 1, 2])

    def test_commands_wait_too(self) -> None:
        self.peer.say(REGISTRATION + b"\x07" * 450)
        self.assertEqual(self.hub.done.count(Ping()), 400)  # the log-in took one
        self.assertFalse(self.reading)
        for _ in range(60):
            self.peer.clock.advance(0.005)
        self.assertEqual(self.hub.done.count(Ping()), 450)
        self.assertTrue(self.reading)

    def test_chunks_of_a_file_wait_only_if_they_are_small(self) -> None:
        for size, taken in ((SMALL_CHUNK, 450), (SMALL_CHUNK - 1, 400)):
            self.setUp()
            one = b"\x01\x01\x00\x02t1" + bytes(8) + size.to_bytes(4, "big") + bytes(size)
            self.peer.say(REGISTRATION + one * 450)
            done = len([command for command in self.hub.done if type(command) is SendChunk])
            self.assertEqual((done, self.reading), (taken, taken == 450), size)

    def test_what_waits_in_the_kernel_meanwhile_is_not_taken_for_silence(self) -> None:
        """A CALL_REJECT whose reason could not be read yet."""
        head = b"\x04\x00\x24" + b"6f1a2b3c-0d4e-4f5a-8b6c-7d8e9fa0b1c2"
        self.peer.say(REGISTRATION + b"".join(map(text, range(4))) + head)
        for _ in range(5):
            self.peer.clock.advance(0.5)
        self.allow(1)
        self.assertTrue(self.reading)
        self.peer.say(b"\x00\x04busy")
        self.peer.clock.advance(1.0)
        self.assertEqual([c.reason for c in self.hub.done if type(c) is RejectCall], ["busy"])
        self.peer.say(head)
        self.assertEqual(len([c for c in self.hub.done if type(c) is RejectCall]), 1)
        self.peer.clock.advance(0.5)
        self.assertEqual(len([c for c in self.hub.done if type(c) is RejectCall]), 2)

    def test_a_framed_peer_is_told_and_not_slowed(self) -> None:
        peer = Peer(self.hub)
        peer.say(framed(REGISTRATION, *map(text, range(QUEUED_FRAMES))))
        self.assertEqual(self.sent(), list(range(QUEUED_FRAMES)))

    def test_so_is_an_unframed_one_that_understands_errors(self) -> None:
        peer = Peer(self.hub, unframed_errors=True)
        peer.say(REGISTRATION + b"".join(map(text, range(QUEUED_FRAMES))))
        self.assertEqual(self.sent(), list(range(QUEUED_FRAMES)))

    def test_a_peer_that_leaves_is_heard_out(self) -> None:
        self.peer.say(REGISTRATION + b"".join(map(text, range(6))))
        self.peer.protocol.readConnectionLost()
        self.allow(2)
        self.assertEqual(self.sent(), [0, 1, 2, 3, 4])
        self.assertFalse(self.peer.transport.disconnecting)
        self.allow(1)
        self.hub.answer(5)
        self.assertFalse(self.peer.transport.disconnecting)
        self.hub.answer()
        self.peer.clock.advance(0)
        self.assertEqual(self.sent(), list(range(6)))
        self.assertTrue(self.peer.transport.disconnecting)

    def test_also_when_what_is_written_to_it_brings_a_reset(self) -> None:
        for kick in (False, True):
            self.setUp()
            self.peer.say(REGISTRATION + b"".join(map(text, range(6))))
            self.peer.protocol.readConnectionLost()
            self.peer.push("x")
            self.peer.clock.advance(0)
            self.peer.protocol.connectionLost(Failure(ConnectionLost()))
            self.assertEqual(len(self.peer.doors), 0)
            attachment = self.hub.attachments[0]
            self.assertNotIn("close", attachment.told)
            self.allow(1)
            if kick:
                self.hub.receivers[0].kicked(SessionKicked(KickReason.ACCOUNT, "disabled"))
            self.allow(100)
            self.hub.answer(len(self.sent()))
            self.assertEqual(self.sent(), list(range(4 if kick else 6)))
            self.assertIn("close", attachment.told)
            self.assertEqual(self.peer.clock.getDelayedCalls(), [])

    def test_a_lost_connection_leaves_nothing_behind(self) -> None:
        self.peer.say(REGISTRATION + b"".join(map(text, range(6))))
        self.peer.protocol.connectionLost(Failure(ConnectionDone()))
        self.allow(100)
        self.assertEqual(self.sent(), [0, 1, 2])
        self.assertEqual(self.peer.clock.getDelayedCalls(), [])


class Leaving(SynchronousTestCase):
    """The end of what the peer says, without any rate."""

    def test_a_program_that_says_everything_at_once_and_closes(self) -> None:
        hub = StubHub()
        hub.hold = True
        peer = Peer(hub)
        peer.say(REGISTRATION + text(1) + text(2))
        peer.protocol.readConnectionLost()
        hub.hold = False
        hub.release()
        self.assertEqual([type(c) for c in hub.done], [LogIn, SendMessage, SendMessage])
        hub.answer(2)
        peer.clock.advance(0)
        self.assertTrue(peer.transport.disconnecting)

    def test_a_reject_that_waits_for_its_reason_is_settled(self) -> None:
        peer = Peer()
        peer.say(REGISTRATION + b"\x04\x00\x24" + b"6f1a2b3c-0d4e-4f5a-8b6c-7d8e9fa0b1c2")
        peer.protocol.readConnectionLost()
        self.assertEqual(len(peer.commands), 2)
        peer.clock.advance(0)
        self.assertTrue(peer.transport.disconnecting)

    def test_who_says_nothing_is_closed_without_a_word_in_the_log(self) -> None:
        peer = Peer()
        peer.protocol.readConnectionLost()
        peer.clock.advance(0)
        self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.flushLoggedErrors(), [])


class Delays(SynchronousTestCase):
    def test_so_many_at_once_and_then_so_many_a_second(self) -> None:
        limits = DoorLimits(commands_per_second=10.0, command_burst=2.0)
        taken = 0.0
        for _ in range(2):
            self.assertEqual(limits.command_delay(taken, 1.8e9), 0.0)
            taken = limits.command_taken(taken, 1.8e9)
        self.assertAlmostEqual(limits.command_delay(taken, 1.8e9 + 0.05), 0.05, 5)
        self.assertEqual(limits.command_delay(taken, 1.8e9 + 0.0999), 0.001)
        self.assertEqual(limits.command_delay(taken, 1.8e9 + 0.1), 0.0)
        taken = limits.command_taken(taken, 1.8e9 + 0.1)
        self.assertAlmostEqual(limits.command_delay(taken, 1.8e9 + 0.1), 0.1, 5)
        self.assertEqual(limits.command_delay(limits.command_given_back(taken), 1.8e9 + 0.1), 0.0)

    def test_a_pause_saves_up_no_more_than_the_burst(self) -> None:
        limits = DoorLimits(commands_per_second=10.0, command_burst=3.0)
        taken, allowed = limits.command_taken(0.0, 5.0), 0
        while not limits.command_delay(taken, 1e6):
            taken = limits.command_taken(taken, 1e6)
            allowed += 1
        self.assertEqual(allowed, 3)
