"""Media behind everything else: bounded, the oldest dropped, no reason to call a peer slow."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.calls import CallAccepted, CallEnded, CallIncoming, CallMedia, EndCall, Ending, StartCall
from imserver.model.messages import Content, Form, Message
from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.kernel import MEDIA_WAIT, DrainWatch, Pace, unconfirmed
from imserver.protocols.media import UNSENT, MediaQueue, keep_unsent_low
from imserver.protocols.outbox import CHUNK, Outbox
from imserver.protocols.queueing import WRITABLE_BELOW
from imserver.services.outgoing import Outgoing
from tests.unit.protocols.test_outbox import Descriptor, OutboxCase, Owner, Transport
from tests.unit.protocols.test_pace import PaceBench
from tests.unit.protocols.test_qdatastream import Peer, framed
from tests.unit.wire.qdatastream_samples import CALL, REGISTRATION, STRINGS


class Queue(SynchronousTestCase):
    """MediaQueue by itself."""

    def setUp(self) -> None:
        self.budget = Budget(4000)
        self.queue = MediaQueue(100, self.budget)

    def state(self) -> tuple[int, int, int]:
        return self.queue.size, self.budget.media, self.budget.used

    def test_the_oldest_is_dropped(self) -> None:
        dropped = [self.queue.put(b"%d" % number * 30) for number in range(5)]
        self.assertEqual(dropped, [0, 0, 0, 1, 1])
        self.assertEqual(self.state(), (90, 90, 90))
        self.assertEqual(self.queue.take(1000), b"2" * 30 + b"3" * 30 + b"4" * 30)

    def test_one_that_is_larger_than_the_bound_waits_alone(self) -> None:
        self.queue.put(b"a")
        self.queue.put(b"b")
        self.assertEqual(self.queue.put(b"x" * 150), 2)
        self.assertEqual(self.queue.put(b"y"), 1)
        self.assertEqual(self.queue.take(0), b"y")

    def test_whole_frames_up_to_a_size(self) -> None:
        for _ in range(4):
            self.queue.put(b"x" * 20)
        self.assertEqual(len(self.queue.take(0)), 20)
        self.assertEqual(len(self.queue.take(45)), 40)
        self.assertEqual(self.state(), (20, 80, 80))
        self.queue.sent()
        self.assertEqual(self.state(), (20, 20, 20))
        self.assertEqual(self.queue.clear(), 1)
        self.assertEqual(self.state(), (0, 0, 0))

    def test_all_media_has_a_quarter_of_the_budget(self) -> None:
        others = [MediaQueue(10_000, self.budget) for _ in range(2)]
        self.assertEqual([other.put(b"x" * 450) for other in others], [0, 0])
        self.assertEqual(self.queue.put(b"y" * 90), 0)
        # Its own makes room …
        self.assertEqual(self.queue.put(b"y" * 95), 1)
        # … that of others does not.
        self.assertEqual(self.queue.put(b"z" * 101), 2)
        self.assertEqual(self.state(), (0, 900, 900))
        others[0].clear()
        self.assertEqual(self.queue.put(b"z" * 100), 0)

    def test_a_spent_budget_takes_none(self) -> None:
        self.budget.used = 3990
        self.assertEqual(self.queue.put(b"x" * 11), 1)
        self.assertEqual(self.queue.put(b"x" * 10), 0)

    def test_a_socket_takes_little_ahead(self) -> None:
        plain = socket.socket()
        self.addCleanup(plain.close)

        class Transport:
            socket = plain
            asks_first = False

        class Wrapped:
            transport = Transport()

        keep_unsent_low(Wrapped())
        self.assertEqual(plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT), UNSENT)
        self.assertTrue(Wrapped.transport.asks_first)
        keep_unsent_low(object())
        plain.close()
        keep_unsent_low(Transport())


class Behind(OutboxCase):
    """Media and everything else in one outbox."""

    def setUp(self) -> None:
        super().setUp()
        self.descriptor = Descriptor(self.clock)
        self.outbox = self.make(self.descriptor, self.owner)

    def make(self, transport: Any, owner: Owner, limit: int = 1024 * 1024) -> Outbox:
        watch = DrainWatch(self.clock)
        outbox = Outbox(transport, owner, self.flusher, self.budget, limit, watch, media_limit=300_000)
        outbox.start()
        return outbox

    def drain(self) -> bytes:
        """What the peer takes if it takes all."""
        self.clock.advance(0)
        for _ in range(100):
            self.descriptor.drain(1 << 20)
        taken, self.descriptor.taken = self.descriptor.taken, b""
        return taken

    def test_it_goes_out(self) -> None:
        self.assertEqual(self.outbox.put_media(b"m"), 0)
        self.assertEqual(self.outbox.put_media(b"n"), 0)
        self.assertEqual(self.drain(), b"mn")
        self.assertEqual((self.budget.used, self.budget.media), (0, 0))

    def test_what_is_queued_later_goes_before_it(self) -> None:
        for number in range(3):
            self.outbox.put_media(b"%d" % number * 60_000)
        self.clock.advance(0)  # the first is with the transport
        self.outbox.push(b"text")
        self.outbox.put(b"answer")
        self.descriptor.drain(60_000)
        self.outbox.push(b"later")
        self.descriptor.drain(10)
        self.descriptor.drain(1 << 20)
        self.outbox.push(b"last")
        self.assertEqual(
            self.drain(), b"0" * 60_000 + b"textanswer" + b"later" + b"1" * 60_000 + b"last" + b"2" * 60_000
        )

    def test_it_is_joined_up_to_a_chunk(self) -> None:
        transport = Transport()
        outbox = self.make(transport, Owner())
        frames = [bytes((number,)) * 10_000 for number in range(20)]
        for frame in frames:
            outbox.put_media(frame)
        self.clock.advance(0)
        self.assertTrue(all(len(data) <= CHUNK for data in transport.writes))
        self.assertLess(len(transport.writes), 5)
        self.assertEqual(b"".join(transport.writes), b"".join(frames))

    def test_it_is_no_room_taken_from_others(self) -> None:
        """Messages are taken, requests are handled, and nobody is slow, however much of it waits."""
        self.clock.advance(0)
        dropped = sum(self.outbox.put_media(b"x" * 60_000) for _ in range(50))
        self.clock.advance(0)
        self.assertEqual(dropped, 45)  # 300,000 bytes stay
        self.assertEqual(self.outbox.total, 0)
        self.assertTrue(self.outbox.writable)
        self.assertFalse(self.outbox.congested)
        for now in (0.0, 100.0, 1000.0):
            self.assertFalse(self.outbox.stuck(now, 30.0))
        for _ in range(40):
            self.outbox.put(b"x" * 10_000)
        self.assertEqual(self.owner.told, [])
        self.assertEqual(self.budget.used, 700_000)

    def test_what_waits_behind_stuck_media_is_stuck(self) -> None:
        self.outbox.put_media(b"x" * 60_000)
        self.clock.advance(0)
        self.descriptor.drain(10)
        self.outbox.push(b"text")
        self.assertFalse(self.outbox.stuck(0.0, 30.0))
        self.descriptor.drain(11)  # taking media is taking something
        self.assertFalse(self.outbox.stuck(30.0, 30.0))
        self.assertTrue(self.outbox.stuck(60.0, 30.0))

    def test_messages_are_confirmed_while_media_waits(self) -> None:
        self.outbox.push(b"text")
        self.outbox.confirm()
        self.outbox.put_media(b"x" * 60_000)
        self.outbox.put_media(b"y" * 60_000)
        self.clock.advance(0)
        self.descriptor.drain(4)
        self.assertEqual(self.outbox.total, 0)
        self.assertTrue(self.outbox.kernel_drained())
        self.assertEqual(self.owner.told, ["delivered"])

    def test_the_oldest_is_dropped_and_what_was_begun_is_finished(self) -> None:
        self.outbox.put_media(b"begun " * 10_000)
        self.clock.advance(0)
        self.descriptor.drain(7)
        for number in range(10):
            self.outbox.put_media(b"%d" % number * 100_000)
        self.outbox.push(b"text")
        expected = b"begun " * 10_000 + b"text" + b"".join(b"%d" % number * 100_000 for number in (7, 8, 9))
        self.assertEqual(self.drain(), expected)

    def test_dropped_with_its_call(self) -> None:
        for number in range(3):
            self.outbox.put_media(b"%d" % number * 60_000)
        self.clock.advance(0)
        self.outbox.put(b"end")
        self.assertEqual(self.outbox.drop_media(), 2)
        self.assertEqual(self.drain(), b"0" * 60_000 + b"end")
        self.assertEqual(self.outbox.drop_media(), 0)
        self.assertEqual((self.budget.used, self.budget.media), (0, 0))
        self.assertEqual(self.make(Transport(), Owner()).drop_media(), 0)

    def test_at_the_end_there_is_none(self) -> None:
        self.outbox.put_media(b"begun")
        self.clock.advance(0)
        self.outbox.put_media(b"never")
        self.outbox.put(b"goodbye")
        self.outbox.finish()
        self.assertEqual(self.outbox.put_media(b"never"), 0)
        self.assertEqual(self.drain(), b"begungoodbye")
        self.assertEqual(self.owner.told, ["finished"])
        self.assertEqual((self.budget.used, self.budget.media), (0, 0))

    def test_a_lost_connection_gives_its_bytes_back(self) -> None:
        for _ in range(3):
            self.outbox.put_media(b"x" * 60_000)
        self.outbox.push(b"text")
        self.clock.advance(0)
        self.assertEqual((self.budget.used, self.budget.media), (180_004, 180_000))
        self.outbox.lost()
        self.assertEqual(self.outbox.put_media(b"x"), 0)
        self.clock.advance(0)
        self.assertEqual((self.budget.used, self.budget.media), (0, 0))

    def test_dropping_what_is_unsent_drops_it(self) -> None:
        self.outbox.put_media(b"begun")
        self.clock.advance(0)
        self.outbox.put_media(b"x")
        self.outbox.drop_unsent()
        self.assertEqual(self.drain(), b"begun")

    def test_at_the_end_none_is_written_any_more(self) -> None:
        transport = Transport()
        outbox = self.make(transport, self.owner)
        outbox.put_media(b"never")
        outbox.finish()
        self.clock.advance(0)
        self.assertEqual((transport.writes, self.owner.told), ([], ["finished"]))

    def test_what_is_queued_in_the_middle_of_writing_it(self) -> None:
        class Busy(Transport):
            outbox: Outbox

            def write(self, data: bytes) -> None:
                super().write(data)
                if len(self.writes) == 1:
                    self.outbox.push(b"text")

        transport = Busy()
        outbox = transport.outbox = self.make(transport, Owner())
        for _ in range(3):
            outbox.put_media(b"m" * CHUNK)
        self.clock.pump([0, 0, 0])
        self.assertEqual([data[:1] for data in transport.writes], [b"m", b"t", b"m", b"m"])

    def test_a_transport_that_says_stop(self) -> None:
        """TLS and the like: what they took before they said stop counts as sent when they go on."""
        transport = Transport()
        outbox = self.make(transport, Owner())
        outbox.pauseProducing()
        outbox.put_media(b"m")
        outbox.push(b"text")
        self.clock.advance(1)
        self.assertEqual(transport.writes, [])
        outbox.resumeProducing()
        self.assertEqual(transport.writes, [b"text", b"m"])
        self.assertEqual(self.budget.used, 0)


class Paced(PaceBench):
    """Peers that get one frame a write: MEDIA when their kernel has all, or 20 ms after the write before."""

    def write(self) -> None:
        """The kernel takes what was written, if anything was."""
        if held(self.wire):
            self.wire.doWrite()

    def test_it_waits_no_longer_than_its_time(self) -> None:
        # A kernel that never confirms: whatever it is asked, something is under way.
        self.patch(kernel_module(), "unconfirmed", lambda transport: 1)
        self.outbox.put(b"text")
        self.outbox.pace = Pace(self.wire, self.outbox.flush, self.fast, self.slow)
        self.outbox.pace.wrote()
        self.outbox.drop_unsent()
        for frame in (b"m1", b"m2"):
            self.outbox.put_media(frame)
        self.clock.advance(0)
        written: list[float] = []
        for _ in range(30):
            self.write()
            if len(self.wire.chunks) > len(written):
                written.append(round(self.clock.seconds(), 3))
            self.clock.advance(0.002)
        self.assertEqual(self.wire.chunks, [b"m1", b"m2"])
        self.assertTrue(0.02 <= written[0] <= 0.024 and 0.04 <= written[1] <= 0.05, written)

    def test_other_frames_wait_as_long_as_it_takes_and_go_first(self) -> None:
        under_way = [1]
        self.patch(kernel_module(), "unconfirmed", lambda transport: under_way[0])
        assert self.outbox.pace is not None
        self.outbox.pace.wrote()
        self.outbox.put_media(b"m1")
        self.outbox.put_media(b"m2")
        self.clock.advance(0)
        self.outbox.push(b"text")
        self.clock.pump([0.002] * 100)
        self.write()
        # Time was over for media, but a text waits before it, and for the kernel.
        self.assertEqual(self.wire.chunks, [])
        under_way[0] = 0
        for _ in range(100):
            self.clock.advance(0.002)
            self.write()
        self.assertEqual(self.wire.chunks, [b"text", b"m1", b"m2"])

    def test_a_kernel_that_has_all_is_no_reason_to_wait(self) -> None:
        self.outbox.put_media(b"m1")
        self.outbox.put_media(b"m2")
        self.clock.advance(0)
        self.wire.doWrite()
        self.confirm()
        self.assertEqual(self.wire.chunks, [b"m1"])
        self.clock.advance(0.002)
        self.assertLess(self.clock.seconds(), MEDIA_WAIT)
        self.wire.doWrite()
        self.assertEqual(self.wire.chunks, [b"m1", b"m2"])
        self.confirm()
        self.clock.advance(0.002)
        self.assertEqual((unconfirmed(self.wire), self.clock.getDelayedCalls()), (0, []))


def held(wire: Any) -> int:
    return int(len(wire.dataBuffer) - wire.offset + wire._tempDataLen)


def kernel_module() -> Any:
    import imserver.protocols.kernel

    return imserver.protocols.kernel


def ended(call: str = CALL) -> CallEnded:
    return CallEnded(call, "alice", "bob", Ending.HANGUP, 1.0, 2.0, 1.5, "bob")


class Connections(SynchronousTestCase):
    """A peer of document 000 in a call."""

    def call(self, data: bytes = REGISTRATION) -> Peer:
        peer = Peer()
        peer.say(data)
        peer.heard()
        receiver = peer.hub.receivers[0]
        self.assertTrue(receiver.notify(CallIncoming(CALL, "bob", "user123", True, 1.0)))
        self.assertTrue(receiver.notify(CallAccepted(CALL, "bob", "user123", 1.0)))
        peer.heard()
        return peer

    def test_media_of_an_unframed_peer_is_cut_by_the_call(self) -> None:
        peer = self.call()
        peer.say(b"\x06" + b"\xff" * 9, b"\xfe" * 9, b"\x07")
        media = [one for one in peer.commands if type(one) is CallMedia]
        self.assertEqual(media, [CallMedia(b"\xff" * 9), CallMedia(b"\xfe" * 9)])
        self.assertEqual(peer.heard(), b"\x07")
        peer.hub.receivers[0].notify(ended("another"))
        peer.clock.advance(60.0)
        peer.say(b"\xfd" * 9)
        self.assertEqual(peer.commands[-1], CallMedia(b"\xfd" * 9))
        peer.hub.receivers[0].notify(ended())
        peer.say(b"\xfc" * 9)
        self.assertEqual(peer.commands[-1], CallMedia(b"\xfc" * 9))
        self.assertFalse(peer.transport.disconnecting)
        peer.clock.advance(6.0)
        peer.say(b"\xfb" * 9)
        peer.heard()
        self.assertTrue(peer.transport.disconnecting)

    def test_media_is_written_behind_everything_and_dropped_with_the_call(self) -> None:
        for wrap, data, string in (
            (framed, framed(REGISTRATION), STRINGS["utf8"]),
            (bytes, REGISTRATION, STRINGS["qstring"]),
        ):
            peer = self.call(data)
            receiver = peer.hub.receivers[0]
            receiver.media(CallMedia(b"m", CALL))
            peer.push("hi")
            text = wrap(b"\x00" + string("bob") + string("hi"))
            self.assertEqual(peer.heard(), text + wrap(b"\x06" + string(CALL) + b"m"))
            receiver.media(CallMedia(b"m", CALL))
            receiver.notify(ended("another"))
            receiver.notify(ended())
            self.assertTrue(peer.heard().endswith(wrap(b"\x05" + string(CALL))))
            self.assertEqual(peer.doors.tallies["qdatastream"].media_dropped, 1)

    def test_the_end_of_another_call_drops_nothing(self) -> None:
        peer = self.call(framed(REGISTRATION))
        receiver = peer.hub.receivers[0]
        receiver.media(CallMedia(b"m", CALL))
        other = "0" * 36
        receiver.notify(CallEnded(other, "user123", "carol", Ending.BUSY, 1.0, 1.0))
        heard = peer.heard()
        self.assertTrue(
            heard.startswith(framed(b"\x04" + STRINGS["utf8"](other) + STRINGS["utf8"]("user busy")))
        )
        self.assertTrue(heard.endswith(b"m"))

    def test_dropped_pieces_are_counted(self) -> None:
        peer = self.call(framed(REGISTRATION))
        peer.protocol._link.outbox.pauseProducing()
        for _ in range(20):
            peer.hub.receivers[0].media(CallMedia(b"x" * 60_000, CALL))
        self.assertEqual(peer.doors.tallies["qdatastream"].media_dropped, 3)
        self.assertFalse(peer.transport.disconnecting)

    def test_commands_keep_their_order(self) -> None:
        peer = self.call(framed(REGISTRATION))
        peer.hub.hold = True
        peer.say(framed(b"\x02" + STRINGS["utf8"]("bob") + b"\x01", b"\x06m", b"\x05\x00\x00"))
        self.assertEqual([type(one) for one in peer.commands[1:]], [StartCall])
        peer.hub.hold = False
        peer.hub.release()
        self.assertEqual([type(one) for one in peer.commands[1:]], [StartCall, CallMedia, EndCall])


class Bounds(SynchronousTestCase):
    """Flow control of messages goes by messages alone."""

    def test_media_in_the_transport_does_not_stop_messages(self) -> None:
        clock = Clock()
        descriptor = Descriptor(clock)
        budget = Budget(10**9)
        outbox = Outbox(descriptor, Owner(), Flusher(clock), budget, 1024 * 1024, DrainWatch(clock))
        outbox.start()
        outbox.put_media(b"x" * WRITABLE_BELOW)
        clock.advance(0)
        self.assertTrue(outbox.writable)
        message = Message("m", "c", "c", 1, "a", "b", "", "", Content(Form.TEXT, b"t"), 0.0, 0.0)
        outbox.push(Outgoing(message).message.content.data)
        self.assertEqual(outbox.total, 1)
