"""Of a long queue, what the peer's kernel has counts, before it has everything."""

from __future__ import annotations

import array
import fcntl
import math
import socket
import termios
from types import SimpleNamespace
from typing import Any

from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.arrival import IDLE_LOOKS, MARK_BYTES
from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.kernel import DrainWatch, kernel_backlog
from imserver.protocols.outbox import Outbox
from imserver.services.outgoing import Outgoing
from tests.sources import only_on_sources
from tests.unit.protocols.stub import StubHub
from tests.unit.protocols.test_outbox import Descriptor, Owner, Transport
from tests.unit.protocols.test_qdatastream import Peer, framed
from tests.unit.wire.qdatastream_samples import REGISTRATION
from tests.unit.wire.test_qdatastream_golden import message

SIZE = 1000


class Counting(socket.socket):
    """Keeps what the kernel was given."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(fileno=accepted.detach())
        self.sent = bytearray()

    def send(self, data: Any, flags: int = 0) -> int:
        count = super().send(data, flags)
        self.sent += data[:count]
        return count


class Wire(Descriptor):
    """A descriptor over a real connection with small buffers, whose peer reads when a test says so."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.peer = socket.socket()
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            self.peer.connect(listener.getsockname())
            accepted, _ = listener.accept()
        self.socket = Counting(accepted)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        self.socket.setblocking(False)
        self.received = 0

    @property
    def sent(self) -> bytearray:
        """What the kernel was given."""
        sent: bytearray = self.socket.sent
        return sent

    def writeSomeData(self, data: Any) -> int:
        try:
            count: int = self.socket.send(data)
        except BlockingIOError:
            return 0
        return count

    def read(self, count: int) -> None:
        """The peer's program takes this many bytes."""
        self.received += len(self.peer.recv(count))

    def arrived(self) -> int:
        """Bytes that the peer's kernel has got so far."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self.peer.fileno(), termios.FIONREAD, waiting)
        return self.received + waiting[0]

    def confirmed(self) -> int:
        """Bytes that the peer's kernel has said it has got; it may be late to say so."""
        return len(self.sent) - (kernel_backlog(self) or 0)

    def close(self) -> None:
        self.socket.close()
        self.peer.close()


class Tls:
    """What Twisted's TLS does with the bytes it is given, step by step."""

    _lostTLSConnection = False

    def __init__(self, transport: Wire) -> None:
        self.transport = transport
        self._aggregator = SimpleNamespace(_buffer=[])
        self._appSendBuffer: list[bytes] = []
        self.write = self._aggregator._buffer.append

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def move(self) -> None:
        """The bytes go one layer further."""
        for data in self._appSendBuffer:
            self.transport.write(data)
        self._appSendBuffer = list(self._aggregator._buffer)
        self._aggregator._buffer.clear()


class Marks(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.owner = Owner()
        self.wire = Wire(self.clock)
        self.addCleanup(self.wire.close)
        self.outbox = self.make(self.wire)

    def make(self, transport: Any, *, messages: bool = True, media_limit: int = 10**6) -> Outbox:
        outbox = Outbox(
            transport, self.owner, Flusher(self.clock), Budget(10**9), 10**9, DrainWatch(self.clock, 0.05),
            confirm_messages=messages, media_limit=media_limit,
        )  # fmt: skip
        outbox.start()
        return outbox

    def passed(self) -> list[int]:
        return [int(told.removeprefix("passed ")) for told in self.owner.told if told.startswith("passed")]

    def test_what_arrived_is_passed_and_nothing_else(self) -> None:
        for seq in range(1, 301):
            self.outbox.push(b"x" * SIZE, seq)
        self.clock.advance(0)
        while "delivered" not in self.owner.told:
            self.wire.doWrite()
            self.clock.advance(0.05)
            self.assertLessEqual(max(self.passed(), default=0) * SIZE, self.wire.arrived())
            if self.wire.arrived() > self.wire.received:
                self.wire.read(8000)
        passed = self.passed()
        # How often depends on when the kernel confirms; at least about once for each chunk of 64 KiB.
        self.assertGreater(len(passed), 2)
        self.assertEqual(passed, sorted(set(passed)))
        self.assertGreater(passed[-1], 100)
        self.assertEqual(self.owner.told[-1], "delivered")
        self.assertEqual(self.wire.received, 300 * SIZE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_with_media_in_between_what_arrived_is_passed_and_nothing_else(self) -> None:
        """Bytes count in the order in which they were written; what was dropped of media never was."""
        wire = Wire(self.clock)
        self.addCleanup(wire.close)
        outbox = self.make(wire, media_limit=12_000)
        frames = [b""] + [b"%05d" % seq + b"m" * 5000 for seq in range(1, 101)]
        turn = queued = passed = dropped = 0
        while queued < 100 or "delivered" not in self.owner.told:
            turn += 1
            if turn % 4 == 0 and queued < 100 and outbox.writable:
                queued += 1
                outbox.push(frames[queued], queued)
                if queued % 3 == 0:
                    dropped += outbox.drop_media()
            for _ in range(3 if queued < 100 else 0):
                dropped += outbox.put_media(b"x" * 3000)
            self.clock.advance(0)
            wire.doWrite()
            confirmed = wire.confirmed()
            self.clock.advance(0.05)
            before, passed = passed, max(self.passed(), default=0)
            # Not one byte too early ...
            self.assertLessEqual(self.end(wire, frames[passed]), wire.confirmed())
            # ... and no later than the next look.
            while before < queued and self.end(wire, frames[before + 1]) <= confirmed:
                before += 1
            if "delivered" not in self.owner.told:
                self.assertGreaterEqual(passed, before)
            if wire.arrived() > wire.received:
                wire.read(4000)
        self.assertEqual(self.passed(), sorted(set(self.passed())))
        self.assertGreater(len(self.passed()), 10)
        self.assertGreater(dropped, 30)
        last = wire.sent.find(frames[self.passed()[-1]])
        media = wire.sent.count(b"x" * 3000, 0, last)
        self.assertGreater(media, 30)

    @staticmethod
    def end(wire: Wire, frame: bytes) -> float:
        """Where in the stream the frame ends; it has not been written: beyond all bounds."""
        at = wire.sent.find(frame)
        return math.inf if at < 0 else at + len(frame)

    def test_a_peer_that_reads_nothing_is_not_asked_for_ever(self) -> None:
        for seq in range(1, 301):
            self.outbox.push(b"x" * SIZE, seq)
        self.clock.advance(0)
        for _ in range(IDLE_LOOKS + 20):
            self.wire.doWrite()
            self.clock.advance(0.05)
        self.assertGreater(kernel_backlog(self.wire) or 0, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNotIn("delivered", self.owner.told)
        # The wheel asks now and then, and finds that it went on after all.
        before = self.passed()
        while kernel_backlog(self.wire):
            self.wire.read(8000)
        self.outbox.stuck(10.0, 30.0)
        self.clock.advance(0.05)
        self.assertGreater(len(self.passed()), len(before))

    def test_small_messages_share_marks(self) -> None:
        for seq in range(1, 100_001):
            self.outbox.push(b"0123456789", seq)
        self.assertLess(len(self.outbox._arrival.marks), 10 * 100_000 / MARK_BYTES + 2)
        self.assertEqual(self.outbox._arrival.marks[-1], (1_000_000, 100_000))

    def test_a_message_is_passed_with_its_last_part(self) -> None:
        self.outbox.push(b"x" * 3000)
        self.outbox.push(b"y" * 3000, 1)
        self.assertEqual(list(self.outbox._arrival.marks), [(6000, 1)])

    def test_what_is_dropped_is_not_passed(self) -> None:
        for seq in range(1, 101):
            self.outbox.push(b"x" * 10_000, seq)
        self.clock.advance(0)
        self.assertEqual(self.outbox.written, 60_000)
        self.outbox.drop_unsent()
        self.assertEqual(self.outbox._arrival.marks[-1], (60_000, 6))

    def test_formats_with_acknowledgements_have_no_marks(self) -> None:
        wire = Wire(self.clock)
        self.addCleanup(wire.close)
        outbox = self.make(wire, messages=False)
        outbox.push(b"x" * 10_000, 1)
        self.assertFalse(outbox._arrival.marks)

    def test_where_bytes_are_not_what_the_kernel_counts_only_the_whole_counts(self) -> None:
        """TLS, memory."""
        outbox = self.make(Transport())
        for seq in range(1, 101):
            outbox.push(b"x" * 10_000, seq)
        self.assertFalse(outbox._arrival.marks)
        self.clock.advance(0)
        self.clock.advance(0.05)
        self.assertEqual(self.owner.told, ["delivered"])

    def test_what_waits_in_this_process_is_not_delivered(self) -> None:
        """TLS takes all it is given: the kernel may hold nothing because it was given nothing yet."""
        tls = Tls(self.wire)
        outbox = self.make(tls)
        outbox.push(b"x" * SIZE, 1)
        self.clock.advance(0)
        for layer in ("what TLS joins", "what OpenSSL does not take", "the transport's buffer"):
            self.clock.advance(0.05)
            self.assertEqual((kernel_backlog(tls), self.owner.told), (0, []), layer)
            tls.move()
        self.wire.doWrite()
        tls._lostTLSConnection = True  # from here on it drops what it is given
        self.deliver()
        self.assertEqual(self.owner.told, [])
        tls._lostTLSConnection = False
        self.deliver()
        self.assertEqual(self.owner.told, ["delivered"])
        self.assertEqual(self.wire.arrived(), SIZE)

    def deliver(self) -> None:
        while kernel_backlog(self.wire):
            pass
        self.clock.advance(0.05)

    def test_the_layers_of_tls_are_twisteds(self) -> None:
        factory = TLSMemoryBIOFactory(
            optionsForClientTLS("a.example"), True, ClientFactory.forProtocol(Protocol), Clock()
        )
        transport: Any = BufferingTLSTransport(factory, Protocol())
        transport.makeConnection(StringTransport())
        self.assertIs(transport._lostTLSConnection, False)
        self.assertEqual((transport._appSendBuffer, transport._aggregator._buffer), ([], []))


class Numbers(SynchronousTestCase):
    """Which frames bear a number on their way into the outbox."""

    def setUp(self) -> None:
        only_on_sources()
        self.peer = Peer(StubHub())
        self.peer.say(framed(REGISTRATION))
        self.pushed: list[tuple[int, int]] = []
        self.outbox = self.peer.protocol._link.outbox
        self.patch(type(self.outbox), "push", lambda _, frame, seq=0: self.pushed.append((len(frame), seq)))

    def test_the_last_part_of_a_message(self) -> None:
        receiver = self.peer.hub.receivers[0]
        receiver.push(Outgoing(message("short")), 7)
        receiver.push(Outgoing(message("x" * 65_536)), 8)
        self.assertEqual([seq for _, seq in self.pushed], [7, 0, 8])

    def test_each_message_of_a_page(self) -> None:
        from imserver.model.messages import InboxPage, InboxRow

        rows = [InboxRow(seq, message("x" * size)) for seq, size in ((3, 1), (4, 65_536), (6, 1))]
        self.peer.hub.receivers[0].push_backlog(InboxPage(rows, 6, 1, False, "e"))
        self.assertEqual([seq for _, seq in self.pushed], [3, 0, 4, 6])


class Sessions(SynchronousTestCase):
    def test_the_attachment_is_told_unless_the_connection_ends(self) -> None:
        peer = Peer()
        link = peer.protocol._link
        link.outbox_passed(1)  # nobody has logged in
        peer.say(framed(REGISTRATION))
        link.outbox_passed(5)
        self.assertIn("passed 5", peer.hub.attachments[0].told)
        link.finish()
        link.outbox_passed(6)
        self.assertNotIn("passed 6", peer.hub.attachments[0].told)
