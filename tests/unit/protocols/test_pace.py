"""One write after the other: the next when the peer's kernel has the one before."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.kernel import FAST_LOOKS, DrainWatch, Pace, kernel_backlog, unconfirmed
from imserver.protocols.outbox import Outbox
from tests.unit.protocols.test_outbox import Descriptor, Owner


class Wire(Descriptor):
    """A descriptor with a real socket whose peer reads when a test says so."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        listener = socket.create_server(("127.0.0.1", 0))
        self.peer = socket.create_connection(listener.getsockname())
        self.socket, _ = listener.accept()
        listener.close()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.chunks: list[bytes] = []

    def writeSomeData(self, data: Any) -> int:
        self.chunks.append(bytes(data))
        count: int = self.socket.send(data)
        return count

    def close(self) -> None:
        self.socket.close()
        self.peer.close()


class PaceBench(SynchronousTestCase):
    """A paced outbox over a real socket; the kernel is real, the clock is not."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = Wire(self.clock)
        self.addCleanup(self.wire.close)
        self.fast, self.slow = DrainWatch(self.clock, 0.002), DrainWatch(self.clock, 0.05)
        self.outbox = Outbox(self.wire, Owner(), Flusher(self.clock), Budget(10**9), 1024 * 1024, self.slow)
        self.outbox.pace = Pace(self.wire, self.outbox.flush, self.fast, self.slow)
        self.outbox.start()

    def confirm(self) -> None:
        """Waits for the loopback to confirm what was sent; the kernel's affair, not the clock's."""
        for _ in range(100_000):
            if not kernel_backlog(self.wire):
                return
            os.sched_yield()
        self.fail("the kernel never confirmed")


class PaceCase(PaceBench):
    def test_the_next_write_waits_for_the_kernel(self) -> None:
        for frame in (b"a", b"b", b"c"):
            self.outbox.put(frame)
        self.clock.advance(0)
        self.assertEqual(unconfirmed(self.wire), 1)  # still in the process
        self.clock.advance(1)
        self.assertEqual(self.wire.chunks, [])
        for count in (1, 2, 3):
            self.wire.doWrite()
            self.assertEqual(len(self.wire.chunks), count)
            self.confirm()
            self.clock.advance(0.05)
        self.assertEqual(self.wire.chunks, [b"a", b"b", b"c"])
        self.assertEqual(self.outbox.total, 0)

    def test_two_writes_are_a_moment_apart_however_fast_the_kernel_is(self) -> None:
        self.outbox.put(b"a")
        self.outbox.put(b"b")
        self.clock.advance(0)
        self.confirm()
        self.wire.doWrite()
        self.confirm()
        self.clock.advance(0.001)
        self.assertEqual(unconfirmed(self.wire), 0)  # "b" waits
        self.clock.advance(0.001)
        self.assertEqual(unconfirmed(self.wire), 1)
        self.wire.doWrite()
        self.confirm()
        # What comes within the moment waits for its end, too; after it nothing waits.
        self.outbox.put(b"c")
        self.clock.advance(0)
        self.assertEqual(unconfirmed(self.wire), 0)
        self.clock.advance(0.002)
        self.wire.doWrite()
        self.clock.advance(0.002)
        self.confirm()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.outbox.put(b"d")
        self.clock.advance(0)
        self.assertEqual(unconfirmed(self.wire), 1)
        self.wire.doWrite()
        self.assertEqual(self.wire.chunks, [b"a", b"b", b"c", b"d"])

    def test_a_peer_that_confirms_nothing_is_asked_less_often(self) -> None:
        self.wire.socket.setblocking(False)
        try:
            while True:
                self.wire.socket.send(b"x" * 65536)
        except BlockingIOError:
            pass
        self.assertGreater(unconfirmed(self.wire), 0)
        self.outbox.put(b"a")
        self.clock.advance(0)
        for _ in range(FAST_LOOKS + 5):
            self.clock.advance(0.002)
        self.assertEqual(list(self.fast._waiting), [])
        self.assertEqual(list(self.slow._waiting), [self.outbox.pace])
        self.outbox.put(b"b")
        self.clock.advance(0.01)
        self.assertEqual(list(self.fast._waiting), [])
        self.assertEqual(self.wire.dataBuffer, b"")
        # The peer reads: it goes on, and is asked often again.
        self.wire.peer.setblocking(False)
        while unconfirmed(self.wire):
            try:
                self.wire.peer.recv(1 << 20)
            except BlockingIOError:
                pass
        self.clock.advance(0.05)
        self.assertEqual(unconfirmed(self.wire), 1)
        self.wire.doWrite()
        self.assertEqual(self.wire.chunks, [b"a"])
        self.confirm()
        self.clock.advance(0.002)
        self.wire.doWrite()
        self.assertEqual(self.wire.chunks, [b"a", b"b"])
        self.assertEqual(list(self.slow._waiting), [])

    def test_a_lost_connection_waits_for_nothing(self) -> None:
        self.outbox.put(b"a")
        self.outbox.put(b"b")
        self.clock.advance(0)
        self.wire.doWrite()
        self.outbox.lost()
        self.confirm()
        self.clock.advance(1)
        self.clock.advance(1)
        self.assertEqual(self.wire.chunks, [b"a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_end_comes_after_everything(self) -> None:
        owner = Owner()
        self.outbox._owner = owner
        self.outbox.put(b"a")
        self.outbox.put(b"b")
        self.outbox.finish()
        self.clock.advance(0)
        self.assertEqual(owner.told, [])
        for _ in range(2):
            self.wire.doWrite()
            self.confirm()
            self.clock.advance(0.05)
        self.assertEqual(owner.told, ["finished"])
        self.assertEqual(self.wire.chunks, [b"a", b"b"])
