"""Outboxes: joined writes, back-pressure, bounds one by one and in sum, the end."""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.flushing import Budget, Flusher
from imserver.protocols.kernel import DrainWatch
from imserver.protocols.outbox import CHUNK, Outbox
from imserver.protocols.queueing import CONGESTED_FROM, WRITABLE_BELOW


class Owner:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def outbox_drained(self) -> None:
        self.told.append("drained")

    def outbox_overflown(self) -> None:
        self.told.append("overflown")

    def outbox_delivered(self) -> None:
        self.told.append("delivered")

    def outbox_passed(self, seq: int) -> None:
        self.told.append(f"passed {seq}")

    def outbox_finished(self) -> None:
        self.told.append("finished")


class Transport(StringTransport):
    """Counts writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)


class Plug:
    """A socket, as far as an outbox needs one."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    def send(self, data: Any) -> int:
        return self._descriptor.writeSomeData(data)

    def setsockopt(self, *arguments: Any) -> None: ...

    def fileno(self) -> int:
        return -1  # nothing that a kernel knows of


class Descriptor(FileDescriptor):
    """A plain descriptor whose kernel takes what a test allows."""

    connected = 1

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.socket: Any = Plug(self)
        self.taken = b""
        self.room = 0

    def startWriting(self) -> None: ...
    def stopWriting(self) -> None: ...
    def stopReading(self) -> None: ...

    def writeSomeData(self, data: Any) -> int:
        count = min(len(data), self.room)
        self.taken += bytes(data[:count])
        self.room -= count
        return count

    def drain(self, room: int) -> None:
        self.room = room
        self.doWrite()


class OutboxCase(SynchronousTestCase):
    """One outbox over a memory transport."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.flusher = Flusher(self.clock)
        self.budget = Budget(10**9)
        self.owner = Owner()
        self.transport = Transport()
        self.outbox = self.make(self.transport, self.owner)

    def make(self, transport: Any, owner: Owner, limit: int = 1024 * 1024) -> Outbox:
        outbox = Outbox(transport, owner, self.flusher, self.budget, limit, DrainWatch(self.clock))
        outbox.start()
        return outbox


class Writing(OutboxCase):
    """Joined writes."""

    def test_the_frames_of_a_turn_are_one_write(self) -> None:
        self.outbox.put(b"a")
        self.outbox.push(b"b")
        self.outbox.put(b"c")
        self.assertEqual(self.transport.writes, [])
        self.clock.advance(0)
        self.assertEqual(self.transport.writes, [b"abc"])

    def test_one_call_flushes_all_connections(self) -> None:
        others = [Transport() for _ in range(3)]
        for transport in others:
            self.make(transport, Owner()).put(b"x")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual([transport.writes for transport in others], [[b"x"]] * 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_paused_transport_is_not_written_to(self) -> None:
        self.outbox.pauseProducing()
        self.outbox.pauseProducing()
        self.outbox.put(b"a")
        self.clock.advance(1)
        self.assertEqual(self.transport.writes, [])
        self.outbox.resumeProducing()
        self.outbox.resumeProducing()
        self.assertEqual(self.transport.writes, [b"a"])

    def test_a_transport_that_fails_does_not_stop_the_others(self) -> None:
        def fail(data: bytes) -> None:
            raise ZeroDivisionError

        broken, sound = Transport(), Transport()
        broken.write = fail  # type: ignore[method-assign]
        self.make(broken, Owner()).put(b"x")
        self.make(sound, Owner()).put(b"x")
        self.clock.advance(0)
        self.assertEqual(sound.writes, [b"x"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_much_is_handed_over_in_chunks_of_whole_frames(self) -> None:
        frames = [bytes((n,)) * 10_000 for n in range(20)]
        for frame in frames:
            self.outbox.put(frame)
        self.clock.advance(0)
        self.assertTrue(all(len(data) <= CHUNK for data in self.transport.writes))
        self.assertTrue(all(len(data) % 10_000 == 0 for data in self.transport.writes))
        self.assertEqual(b"".join(self.transport.writes), b"".join(frames))


class PlainSockets(OutboxCase):
    """Over Twisted's own descriptors the count of bytes is exact."""

    def setUp(self) -> None:
        super().setUp()
        self.descriptor = Descriptor(self.clock)
        self.outbox = self.make(self.descriptor, self.owner)

    def test_bytes_count_until_the_kernel_has_them(self) -> None:
        self.outbox.put(b"x" * 100)
        self.clock.advance(0)
        self.assertEqual((self.outbox.total, self.budget.used), (100, 100))
        self.descriptor.drain(60)
        self.assertEqual(self.outbox.total, 100)
        self.descriptor.drain(40)
        self.assertEqual((self.outbox.total, self.budget.used), (0, 0))

    def test_what_the_kernel_takes_is_given_to_it_at_once(self) -> None:
        self.descriptor.room = 100
        for frame in (b"a", b"b"):
            self.outbox.put(frame)
            self.clock.advance(0)
        self.assertEqual(self.descriptor.taken, b"ab")
        self.assertEqual((self.outbox.total, self.outbox.written, self.budget.used), (0, 2, 0))

    def test_what_it_does_not_take_goes_the_ordinary_way_and_keeps_its_order(self) -> None:
        self.descriptor.room = 3
        self.outbox.put(b"abcdef")
        self.clock.advance(0)
        self.descriptor.room = 100
        self.outbox.put(b"ghi")
        self.clock.advance(0)
        self.assertEqual((self.descriptor.taken, self.outbox.total), (b"abc", 9))
        self.descriptor.drain(100)
        self.assertEqual((self.descriptor.taken, self.outbox.total), (b"abcdefghi", 0))

    def test_what_others_wrote_before_stays_before(self) -> None:
        self.descriptor.write(b"handshake ")
        self.descriptor.room = 100
        self.outbox.put(b"frame")
        self.clock.advance(0)
        self.assertEqual(self.descriptor.taken, b"")
        self.descriptor.drain(100)
        self.assertEqual(self.descriptor.taken, b"handshake frame")

    def test_a_failed_write_is_left_to_the_transport(self) -> None:
        lost = ConnectionLost()

        def broken(data: Any) -> int:
            raise BrokenPipeError

        self.descriptor.socket.send = broken
        self.descriptor.writeSomeData = lambda data: lost  # type: ignore[method-assign, assignment, return-value]
        self.outbox.put(b"x")
        self.clock.advance(0)
        self.assertIs(self.descriptor.doWrite(), lost)

    def test_a_connection_that_is_being_dropped_is_given_nothing(self) -> None:
        for state in ({"disconnecting": 1}, {"connected": 0}):
            descriptor = Descriptor(self.clock)
            descriptor.room = 100
            outbox = self.make(descriptor, Owner())
            vars(descriptor).update(state)
            outbox.put(b"x")
            self.clock.advance(0)
            self.assertEqual(descriptor.taken, b"")

    def test_what_comes_meanwhile_waits_here_and_is_joined(self) -> None:
        self.outbox.put(b"a")
        self.clock.advance(0)
        for _ in range(3):
            self.outbox.put(b"b")
            self.clock.advance(0)
        self.descriptor.drain(1)
        self.assertEqual(self.descriptor.taken, b"a")
        self.descriptor.drain(100)
        self.assertEqual(self.descriptor.taken, b"abbb")
        self.assertEqual(self.outbox.total, 0)

    def test_the_last_bytes_go_out_before_the_connection_closes(self) -> None:
        self.outbox.put(b"a" * 100_000)
        self.outbox.put(b"b")
        self.outbox.finish()
        self.outbox.put(b"never")
        self.clock.advance(0)
        self.assertEqual(self.owner.told, [])
        self.descriptor.drain(100_000)
        self.assertEqual(self.owner.told, ["finished"])
        self.descriptor.loseConnection()
        self.descriptor.drain(10)
        self.assertEqual(self.descriptor.taken, b"a" * 100_000 + b"b")

    def test_slow_is_who_takes_nothing_for_the_time_given(self) -> None:
        self.assertFalse(self.outbox.stuck(0.0, 30.0))
        self.outbox.put(b"x" * 100)
        self.clock.advance(0)
        self.assertFalse(self.outbox.stuck(10.0, 30.0))
        self.assertFalse(self.outbox.stuck(39.0, 30.0))
        self.descriptor.drain(1)  # one byte is enough
        self.assertFalse(self.outbox.stuck(41.0, 30.0))
        self.assertFalse(self.outbox.stuck(70.0, 30.0))
        self.assertTrue(self.outbox.stuck(71.0, 30.0))
        self.descriptor.drain(1000)
        self.assertFalse(self.outbox.stuck(200.0, 30.0))

    def test_who_takes_the_same_little_every_time_is_not_slow(self) -> None:
        self.outbox.put(b"x" * 1000)
        self.clock.advance(0)
        for now in range(0, 900, 10):
            self.descriptor.drain(10)
            self.assertFalse(self.outbox.stuck(float(now), 30.0), now)


class Bounds(OutboxCase):
    """What an outbox may hold."""

    def test_messages_stay_in_the_store_once_the_peer_is_behind(self) -> None:
        self.outbox.pauseProducing()
        self.assertTrue(self.outbox.writable)
        self.outbox.push(b"x" * WRITABLE_BELOW)
        self.assertFalse(self.outbox.writable)
        self.assertEqual(self.owner.told, [])
        self.outbox.resumeProducing()
        self.assertEqual(self.owner.told, ["drained"])
        self.assertTrue(self.outbox.writable)

    def test_nobody_is_told_who_was_not_refused(self) -> None:
        self.outbox.pauseProducing()
        self.outbox.push(b"x" * WRITABLE_BELOW)
        self.outbox.resumeProducing()
        self.assertEqual(self.owner.told, [])

    def test_requests_wait_while_answers_are_not_read(self) -> None:
        self.outbox.pauseProducing()
        self.outbox.put(b"x" * (CONGESTED_FROM - 1))
        self.assertFalse(self.outbox.congested)
        self.outbox.put(b"x")
        self.assertTrue(self.outbox.congested)
        self.outbox.resumeProducing()
        self.assertEqual(self.owner.told, ["drained"])

    def test_more_answers_than_the_limit_make_the_peer_slow(self) -> None:
        outbox = self.make(Transport(), self.owner, limit=1000)
        outbox.pauseProducing()
        for _ in range(11):
            outbox.put(b"x" * 100)
        self.assertEqual(self.owner.told, [])
        outbox.put(b"x")
        self.assertEqual(self.owner.told, ["overflown"])
        self.assertEqual(outbox.total, 1100)

    def test_dropping_what_is_unsent_leaves_what_was_begun(self) -> None:
        descriptor = Descriptor(self.clock)
        outbox = self.make(descriptor, self.owner)
        outbox.put(b"begun.")
        self.clock.advance(0)
        outbox.put(b"unsent.")
        outbox.drop_unsent()
        outbox.put(b"goodbye.")
        descriptor.drain(6)
        descriptor.drain(100)
        self.assertEqual(descriptor.taken, b"begun.goodbye.")
        self.assertEqual(self.budget.used, 0)


class TheSum(OutboxCase):
    """All outboxes together."""

    def hoarder(self, count: int) -> Outbox:
        """An outbox that is stuck on so many bytes."""
        outbox = self.make(Transport(), Owner())
        outbox.pauseProducing()
        outbox.push(b"x" * count)
        return outbox

    def test_the_second_half_is_for_peers_that_read(self) -> None:
        self.budget = Budget(1000)
        self.outbox = self.make(Transport(), self.owner)
        stuck = self.hoarder(500)
        self.assertFalse(stuck.writable)
        self.assertTrue(stuck.congested)
        for _ in range(10):
            self.assertTrue(self.outbox.writable)
            self.outbox.push(b"message")
            self.assertFalse(self.outbox.writable)
            self.clock.advance(0)
        self.assertEqual(self.owner.told, ["drained"] * 10)

    def test_a_spent_budget_stops_everybody_and_the_empty_go_on_first(self) -> None:
        self.budget = Budget(1000)
        self.outbox = self.make(Transport(), self.owner)
        first, second, third = self.hoarder(300), self.hoarder(400), self.hoarder(300)
        waiting = Owner()
        behind = self.make(Transport(), waiting)
        behind.pauseProducing()
        behind.put(b"y")
        self.assertTrue(behind.congested)
        self.assertFalse(self.outbox.writable)
        self.assertEqual((self.owner.told, waiting.told), ([], []))
        first.resumeProducing()
        self.assertEqual((self.owner.told, waiting.told), (["drained"], []))
        third.lost()
        self.assertEqual((self.owner.told, waiting.told), (["drained"], []))
        second.resumeProducing()
        self.assertEqual((self.owner.told, waiting.told), (["drained"], ["drained"]))
        self.assertEqual(self.budget.used, 1)

    def test_an_empty_outbox_still_takes_requests(self) -> None:
        self.budget.used = self.budget.limit
        self.assertFalse(self.outbox.congested)

    def test_who_hoards_most_of_a_spent_budget_is_slow(self) -> None:
        self.outbox.pauseProducing()
        self.outbox.push(b"x" * (WRITABLE_BELOW + 1))
        self.budget.limit = 10
        self.outbox.put(b"x")
        self.assertEqual(self.owner.told, ["overflown"])

    def test_a_lost_connection_gives_its_bytes_back(self) -> None:
        descriptor = Descriptor(self.clock)
        outbox = self.make(descriptor, self.owner)
        outbox.put(b"x" * 100_000)
        outbox.put(b"y" * 100)
        self.clock.advance(0)
        self.assertEqual(self.budget.used, 100_100)
        outbox.lost()
        outbox.lost()
        outbox.put(b"z")
        outbox.push(b"z")
        self.clock.advance(0)
        self.assertEqual((self.budget.used, outbox.total), (0, 0))

    def test_who_waits_and_is_lost_is_not_told(self) -> None:
        self.budget.used = self.budget.limit
        self.assertFalse(self.outbox.writable)
        self.outbox.lost()
        self.budget.release(self.budget.limit)
        self.assertEqual(self.owner.told, [])
