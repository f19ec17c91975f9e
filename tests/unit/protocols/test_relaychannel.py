"""The file channel of the dialect chat-app against a clock: order, patience, and both kinds at one port."""

from __future__ import annotations

import gc
import socket
import weakref
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from imserver.model.file_relays import AcceptRelay
from imserver.protocols.channelswitch import ChannelSwitchFactory
from imserver.protocols.filechannel import FileChannelProtocol
from imserver.protocols.relaychannel import RelayChannelProtocol
from tests.clients.relay_channel import DATA, END, FAILED, first_line, frame
from tests.unit.protocols.stub import StubHub, doors
from tests.unit.services.test_file_relays import RelayCase

LIMITS = {"handshake_time": 10.0, "silence": 90.0, "slow_after": 30.0, "closing_time": 5.0}


class Wire(StringTransport):
    """A peer's end."""

    producer: Any

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()

    def frames(self) -> list[tuple[int, bytes]]:
        """What was written, as frames."""
        found, data = [], self.value()
        while data:
            length = int.from_bytes(data[1:5], "little")
            found.append((data[0], data[5 : 5 + length]))
            data = data[5 + length :]
        return found


class SlowWire(Wire):
    """A peer's end that takes what the test reads."""

    def __init__(self) -> None:
        super().__init__()
        self.socket, self.theirs = socket.socketpair()

    def write(self, data: bytes) -> None:
        super().write(data)
        self.socket.send(data)

    def close(self) -> None:
        self.socket.close()
        self.theirs.close()


class NoFiles:
    """The channels of the draft, as far as a connection that is refused needs them."""

    class channels:
        chunk = 65536


class ChannelCase(RelayCase):
    def setUp(self) -> None:
        super().setUp()
        self.doors = doors(StubHub(), self.clock, **LIMITS)

        class Files:
            doors = self.doors
            files = NoFiles()

        self.factory = ChannelSwitchFactory(Files(), self.relays)  # type: ignore[arg-type]

    def connect(self, wire: Wire | None = None) -> Wire:
        """A new connection."""
        assert isinstance(self.clock, Clock)
        wire = wire or Wire()
        wire.protocol = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        wire.protocol.makeConnection(wire)
        return wire

    def say(self, wire: Wire, *data: bytes) -> None:
        for piece in data:
            wire.protocol.dataReceived(piece)

    def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance(1)

    def accepted(self, size: int = 10) -> str:
        relay = self.offer(size)
        self.do(self.bob, AcceptRelay(relay))
        for program in self.programs:
            program.take()
        return relay


class Opening(ChannelCase):
    def test_the_first_byte_decides(self) -> None:
        wire = self.connect()
        self.say(wire, b"{")
        self.assertIs(type(wire.protocol), RelayChannelProtocol)
        wire = self.connect()
        self.say(wire, b"\x03")
        self.assertIs(type(wire.protocol), FileChannelProtocol)
        self.assertEqual(self.doors.counter.total, 2)

    def test_who_says_nothing(self) -> None:
        wire = self.connect()
        self.pass_time(12)
        self.assertTrue(wire.aborted)
        wire.protocol.connectionLost(Failure(ConnectionLost()))
        wire = self.connect()
        self.say(wire, b'{"session_id"')
        self.pass_time(12)
        self.assertEqual(wire.frames(), [(FAILED, b"no first line came in time")])
        wire.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.doors.counter.total, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_channel_counts_until_it_is_gone(self) -> None:
        relay = self.accepted()
        wire = self.connect()
        self.assertEqual(self.doors.counter.unauthenticated("192.0.2.1"), 1)
        self.say(wire, first_line(relay, "sender", "alice"))
        self.assertEqual(self.doors.counter.unauthenticated("192.0.2.1"), 0)
        self.assertEqual(self.doors.counter.total, 1)
        wire.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.doors.counter.total, 0)
        self.assertEqual(self.reasons(self.bob), ["the sender's channel is lost"])


class Moving(ChannelCase):
    def open(self, size: int = 10, wire: Wire | None = None) -> tuple[Wire, Wire]:
        """Both channels of a file. `wire`: the receiver's."""
        relay = self.accepted(size)
        sender, receiver = self.connect(), self.connect(wire)
        self.say(receiver, first_line(relay, "receiver", "bob"))
        self.say(sender, first_line(relay, "sender", "alice"))
        return sender, receiver

    def test_lost_channels_are_freed_at_once(self) -> None:
        gc.disable()
        self.addCleanup(gc.enable)
        channels = []
        for wire in self.open():
            channels.append(weakref.ref(wire.protocol))
            wire.protocol.connectionLost(Failure(ConnectionDone()))
            wire.protocol = wire.producer = None
        del wire
        self.assertEqual([channel() for channel in channels], [None, None])

    def test_what_came_before_the_receiver_waits(self) -> None:
        relay = self.accepted()
        sender, receiver = self.connect(), self.connect()
        self.say(sender, first_line(relay, "sender", "alice") + frame(DATA, b"123"))
        self.say(sender, frame(DATA, b"45"))  # what the transport had already read
        self.assertEqual(sender.producerState, "paused")
        self.say(receiver, first_line(relay, "receiver", "bob"))
        self.assertEqual(sender.producerState, "paused")
        self.clock.advance(0)
        self.assertEqual(sender.producerState, "producing")
        self.say(sender, frame(DATA, b"67890"), frame(END, b"{}"))
        self.assertEqual(receiver.frames(), [(DATA, b"123"), (DATA, b"45"), (DATA, b"67890"), (END, b"{}")])
        self.assertTrue(receiver.disconnecting)
        self.clock.advance(0.05)
        self.assertEqual([type(event).__name__ for event in self.alice.take()], ["RelayCompleted"])
        for wire in (sender, receiver):
            wire.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([type(event).__name__ for event in self.bob.take()], ["RelayCompleted"])
        self.assertEqual(len(self.relays), 0)

    def lost(self, *data: bytes) -> Wire:
        """A sender that was gone before anything it sent could be passed on, as over TLS; the receiver."""
        relay, connections = self.accepted(), self.doors.counter.total
        sender = self.connect()
        self.say(sender, first_line(relay, "sender", "alice"), *data)
        sender.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.doors.counter.total, connections)
        self.assertEqual(self.alice.take(), [])
        receiver = self.connect()
        self.say(receiver, first_line(relay, "receiver", "bob"))
        return receiver

    def test_what_came_before_the_end_of_the_connection_counts(self) -> None:
        receiver = self.lost(frame(DATA, b"12345"), frame(DATA, b"67890") + frame(END))
        self.clock.advance(0)
        self.assertEqual(receiver.frames(), [(DATA, b"12345"), (DATA, b"67890"), (END, b"")])
        self.clock.advance(0.05)
        self.assertEqual([type(event).__name__ for event in self.alice.take()], ["RelayCompleted"])
        receiver = self.lost(frame(DATA, b"12345"))
        receiver.producer.pauseProducing()
        self.clock.advance(0)
        self.assertEqual(receiver.frames(), [])
        receiver.producer.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(receiver.frames(), [(DATA, b"12345"), (FAILED, b"the sender's channel is lost")])
        self.assertEqual(self.reasons(self.alice), ["the sender's channel is lost"])
        self.assertEqual(len(self.relays), 0)

    def test_nor_is_it_kept_for_ever(self) -> None:
        relay = self.accepted()
        sender = self.connect()
        self.say(sender, first_line(relay, "sender", "alice") + frame(DATA, b"12345"))
        sender.protocol.connectionLost(Failure(ConnectionDone()))
        self.pass_time(61)
        self.assertEqual(self.reasons(self.alice), ["the channels were not opened in time"])
        self.assertEqual(sender.protocol._held, [])
        self.assertEqual((len(self.relays), self.clock.getDelayedCalls()), (0, []))
        relay = self.accepted()
        sender = self.connect()
        self.say(sender, first_line(relay, "sender", "alice") + frame(DATA, b"12345"))
        sender.protocol.connectionLost(Failure(ConnectionLost()))  # nobody means that
        self.assertEqual(self.reasons(self.alice), ["the sender's channel is lost"])

    def test_back_pressure(self) -> None:
        sender, receiver = self.open()
        self.assertIs(receiver.producer, receiver.protocol)
        receiver.producer.pauseProducing()
        self.assertEqual(sender.producerState, "paused")
        self.say(sender, frame(DATA, b"12345"))
        self.assertEqual(receiver.frames(), [])
        receiver.producer.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(receiver.frames(), [(DATA, b"12345")])
        self.assertEqual(sender.producerState, "producing")

    def test_a_receiver_that_takes_nothing(self) -> None:
        _, receiver = self.open()
        receiver.producer.pauseProducing()
        self.pass_time(45)
        self.assertEqual(self.reasons(self.alice), ["the receiver takes nothing"])
        self.pass_time(10)
        self.assertTrue(receiver.aborted)

    def test_a_receiver_that_is_slow_only_now(self) -> None:
        """It is not its fault that nothing was sent for long."""
        sender, receiver = self.open()
        for _ in range(4):
            self.pass_time(28)
            self.say(sender, frame(DATA, b"1"))
            receiver.producer.pauseProducing()
            self.pass_time(15)
            receiver.producer.pauseProducing()  # said again
            self.pass_time(10)
            receiver.producer.resumeProducing()
        self.assertEqual(self.reasons(self.alice), [])

    def slow(self) -> tuple[Wire, SlowWire]:
        """Both channels, and all bytes of a file in the kernel of a receiver that reads nothing."""
        wire = SlowWire()
        self.addCleanup(wire.close)
        sender, _ = self.open(1000, wire)
        for _ in range(10):
            self.say(sender, frame(DATA, b"x" * 100))
        return sender, wire

    def test_a_receiver_that_takes_little(self) -> None:
        _, receiver = self.slow()
        receiver.producer.pauseProducing()
        for _ in range(6):
            self.pass_time(20)
            receiver.theirs.recv(105)
        self.assertEqual(self.reasons(self.alice), [])
        self.pass_time(45)
        self.assertEqual(self.reasons(self.alice), ["the receiver takes nothing"])

    def test_the_last_bytes_may_take_long(self) -> None:
        for stops in (False, True):
            sender, receiver = self.slow()
            self.say(sender, frame(END))
            for _ in range(9):
                self.pass_time(20)
                receiver.theirs.recv(105)
            self.assertFalse(receiver.aborted)
            self.assertEqual(self.alice.take(), [])
            if stops:
                self.pass_time(45)
                self.assertTrue(receiver.aborted)
                self.assertEqual(self.reasons(self.alice), ["the receiver's channel is lost"])
            else:
                receiver.theirs.recv(1000)
                self.pass_time(2)
                self.assertEqual([type(one).__name__ for one in self.alice.take()], ["RelayCompleted"])
                self.pass_time(45)  # it has all, and does not close
                self.assertTrue(receiver.aborted)
            receiver.protocol.connectionLost(Failure(ConnectionLost()))
            self.bob.take()

    def test_a_sender_that_sends_nothing(self) -> None:
        sender, _ = self.open()
        self.pass_time(60)
        self.say(sender, frame(DATA, b"1"))
        self.pass_time(60)
        self.assertEqual(self.reasons(self.alice), [])
        self.pass_time(45)
        self.assertEqual(self.reasons(self.alice), ["the sender sends nothing"])
        self.assertEqual(sender.frames(), [(FAILED, b"the sender sends nothing")])

    def test_a_sender_that_may_not_send_is_waited_for(self) -> None:
        sender, receiver = self.open()
        receiver.producer.pauseProducing()
        for _ in range(6):  # a slow one, but it takes some
            self.pass_time(25)
            receiver.producer.resumeProducing()
            receiver.producer.pauseProducing()
        self.assertEqual(self.reasons(self.alice), [])
        self.assertFalse(sender.disconnecting)

    def test_a_receiver_that_is_lost_on_the_last_bytes(self) -> None:
        for reason, outcome in ((ConnectionLost(), "RelayFailed"), (ConnectionDone(), "RelayCompleted")):
            sender, receiver = self.open(0)
            self.say(sender, frame(END))
            receiver.protocol.connectionLost(Failure(reason))
            self.assertEqual([type(event).__name__ for event in self.alice.take()], [outcome])
            sender.protocol.connectionLost(Failure(ConnectionDone()))

    def test_half_closed(self) -> None:
        sender, receiver = self.open()
        receiver.protocol.readConnectionLost()  # it only listens from now on
        self.say(sender, frame(DATA, b"12345"))
        self.assertEqual(receiver.frames(), [(DATA, b"12345")])
        sender.protocol.readConnectionLost()
        self.assertEqual(self.reasons(self.alice), ["the sender's channel is lost"])
        self.assertEqual(receiver.frames()[-1], (FAILED, b"the sender's channel is lost"))
        wire = self.connect()
        self.say(wire, b"{")
        wire.protocol.readConnectionLost()
        self.assertTrue(wire.disconnecting)

    def test_frames_of_the_receiver(self) -> None:
        sender, receiver = self.open()
        self.say(receiver, frame(DATA, b"hello"), frame(END))
        self.assertEqual(sender.frames(), [])
        self.say(receiver, frame(FAILED, b"disk full"))
        self.assertEqual(self.reasons(self.alice), ["disk full"])
        self.assertEqual(sender.frames(), [(FAILED, b"disk full")])
        self.say(sender, frame(DATA, b"x"))  # it crossed
        self.assertEqual(len(receiver.frames()), 1)

    def test_nonsense(self) -> None:
        sender, receiver = self.open()
        self.say(sender, frame(DATA, b"1")[:3] + b"\xff\xff\xff")
        self.assertEqual(self.reasons(self.alice), ["a frame is too long"])
        self.assertEqual(receiver.frames(), [(FAILED, b"a frame is too long")])
