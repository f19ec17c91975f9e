"""The kernel's send queue, asked over real sockets."""

from __future__ import annotations

import socket

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.kernel import DrainWatch, kernel_backlog
from imserver.protocols.outbox import Outbox
from tests.unit.protocols.test_outbox import Owner


class SocketTransport(StringTransport):
    """A memory transport that also writes to a socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.socket = sock

    def write(self, data: bytes) -> None:
        super().write(data)
        self.socket.send(data)


class Wrapper:
    """What a TLS transport looks like from here."""

    def __init__(self, transport: SocketTransport) -> None:
        self.transport = transport


class KernelBacklog(SynchronousTestCase):
    """`kernel_backlog` and the watch."""

    def setUp(self) -> None:
        # Over a pair of unix sockets bytes leave the sender's queue when the
        # reader takes them: the test decides when.
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def test_bytes_that_the_peer_has_not_taken(self) -> None:
        transport = SocketTransport(self.ours)
        self.assertEqual(kernel_backlog(transport), 0)
        self.ours.send(b"x" * 1000)
        self.assertGreater(kernel_backlog(transport) or 0, 0)
        self.assertGreater(kernel_backlog(Wrapper(transport)) or 0, 0)
        self.theirs.recv(2000)
        self.assertEqual(kernel_backlog(transport), 0)

    def test_no_socket_to_ask(self) -> None:
        self.assertIsNone(kernel_backlog(StringTransport()))
        transport = SocketTransport(self.ours)
        self.ours.close()
        self.assertIsNone(kernel_backlog(transport))

    def test_messages_count_as_delivered_when_the_kernel_has_handed_them_over(self) -> None:
        clock = Clock()
        watch = DrainWatch(clock, 0.05)
        owner = Owner()
        transport = SocketTransport(self.ours)
        outbox = Outbox(transport, owner, Flusher(clock), Budget(10**6), 10**6, watch, confirm_messages=True)
        outbox.start()
        outbox.put(b"answer")
        clock.advance(0)
        self.assertEqual(clock.getDelayedCalls(), [])  # nobody acknowledges answers
        outbox.push(b"message")
        clock.advance(0)
        clock.pump([0.05] * 5)
        self.assertEqual(owner.told, [])
        self.theirs.recv(100)
        clock.advance(0.05)
        self.assertEqual(owner.told, ["delivered"])
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_a_peer_that_takes_nothing_is_asked_less_often(self) -> None:
        class Stuck:
            asked = 0

            def kernel_drained(self) -> bool:
                self.asked += 1
                return self.asked == 200

        clock = Clock()
        watch, stuck = DrainWatch(clock, 0.05), Stuck()
        watch.add(stuck)
        clock.pump([0.05] * 100)
        self.assertEqual(stuck.asked, 100)
        clock.pump([0.05] * 1200)
        self.assertEqual(stuck.asked, 160)
        watch.add(stuck)  # something new was written
        clock.pump([0.05] * 40)
        self.assertEqual((stuck.asked, clock.getDelayedCalls()), (200, []))

    def test_a_lost_connection_is_not_asked_again(self) -> None:
        clock = Clock()
        owner = Owner()
        outbox = Outbox(
            SocketTransport(self.ours),
            owner,
            Flusher(clock),
            Budget(10**6),
            10**6,
            DrainWatch(clock),
            confirm_messages=True,
        )
        outbox.start()
        outbox.push(b"message")
        clock.advance(0)
        outbox.lost()
        clock.advance(0.05)
        self.assertEqual((owner.told, clock.getDelayedCalls()), ([], []))
