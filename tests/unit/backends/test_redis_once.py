"""What must come, or be done, only once: over all nodes, and though one of them is lost."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.backends.redis.answers import BYTES_PER_PEER, RedisAnswerMemory
from imserver.backends.redis.nonces import RedisNonceMemory
from imserver.model.errors import ErrorCode, ImError
from imserver.model.extensions import OwnReply
from imserver.model.groups import CreateGroup
from imserver.model.messages import Done, MessagesMarked
from imserver.services.replays import NONCES_PER_KEY
from imserver.services.retries import REMEMBERED_PER_PEER
from tests.redis.bus_world import PERIODS, BusCase, Node
from tests.redis.server import RedisServer

ALICE = ("alice", "jsonline")
TEAM = CreateGroup("team")
DONE = Done()


class Answers(BusCase):
    """Retries of requests, on another node than the first time."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open_nodes("one", "two")
        self.memories = {node: self.memory(node) for node in self.nodes}
        self.done: list[str] = []
        self.hold: Deferred[Any] | None = None

    def memory(self, node: Node) -> RedisAnswerMemory:
        return RedisAnswerMemory(node.redis, lambda: node.node, self.clock)

    def ask(
        self, node: Node, id: str = "1", outcome: Any = DONE, command: Any = TEAM, peer: Any = ALICE
    ) -> Deferred[Any]:
        async def work() -> Any:
            self.done.append(node.bus.members.name)
            if self.hold is not None:
                await self.hold
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return ensureDeferred(self.memories[node].once(peer, id, command, work))

    def answer(self, node: Node, *args: Any, **options: Any) -> Any:
        return self.wait_for(self.ask(node, *args, **options))

    def test_answered_again_on_another_node(self) -> None:
        first = MessagesMarked(12.5)
        self.assertEqual(first, self.answer(self.one, outcome=first))
        self.assertEqual(first, self.answer(self.two, outcome=MessagesMarked(99.0)))
        self.assertEqual(["one"], self.done)
        self.assertEqual(Done(), self.answer(self.two, "2"))
        self.assertEqual(Done(), self.answer(self.two, peer=("bob", "jsonline")))
        self.assertEqual(Done(), self.answer(self.two, peer=("alice", "signalling")))

    def test_another_request_of_the_same_id(self) -> None:
        self.answer(self.one)
        self.assertEqual(ErrorCode.CONFLICT, self.error_of(self.ask(self.two, command=CreateGroup("other"))))

    def test_a_refusal_is_not_remembered(self) -> None:
        refused = self.ask(self.one, outcome=ImError(ErrorCode.TOO_FAST, "wait"))
        self.assertEqual(ErrorCode.TOO_FAST, self.error_of(refused))
        self.assertEqual(Done(), self.answer(self.two))

    def test_a_retry_waits_for_the_node_that_does_it(self) -> None:
        self.hold = Deferred()
        first = self.ask(self.one)
        self.settle()
        second = self.ask(self.two)
        self.pass_time(1.0)
        self.assertNoResult(second)
        self.hold.callback(None)
        self.pass_time(1.0)
        self.assertEqual((Done(), Done()), (self.successResultOf(first), self.successResultOf(second)))
        self.assertEqual(["one"], self.done)

    def test_but_not_for_one_that_is_lost(self) -> None:
        self.hold = Deferred()
        self.ask(self.one).addErrback(lambda _: None)
        self.settle()
        self.one.die()
        second = self.ask(self.two)
        self.hold = None
        self.pass_time(PERIODS.lease + 3.0)
        self.assertEqual(Done(), self.successResultOf(second))
        self.assertEqual(["one", "two"], self.done)

    def test_not_for_ever(self) -> None:
        self.hold = Deferred()
        first = self.ask(self.one)
        self.settle()
        second = self.ask(self.two)
        self.pass_time(45.0)
        self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(second, ImError).value.code)
        self.hold.callback(None)
        self.settle()
        self.successResultOf(first)

    def test_done_while_redis_was_lost(self) -> None:
        self.hold = Deferred()
        first = self.ask(self.one)
        self.settle()
        self.one.commands.cut()
        self.pump.until(lambda: not self.one.redis.connected)
        self.hold.callback(None)
        self.assertEqual(Done(), self.successResultOf(first))
        self.pass_time(2.0)
        self.assertEqual(Done(), self.answer(self.two))
        self.assertEqual(["one"], self.done)

    def test_without_redis_nothing_is_done(self) -> None:
        self.one.commands.cut()
        self.pump.until(lambda: not self.one.redis.connected)
        self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(self.ask(self.one)))
        self.assertEqual([], self.done)

    def test_the_memory_is_bounded(self) -> None:
        for number in range(REMEMBERED_PER_PEER + 20):
            self.answer(self.one, f"id{number}")
        self.settle()
        prefix = "t:ra:alice/jsonline"
        count = self.wait_for(self.link.call("HLEN", prefix))
        self.assertEqual(REMEMBERED_PER_PEER + 1, count)
        self.answer(self.two, "id0")
        self.assertEqual("two", self.done[-1])
        self.answer(self.two, f"id{REMEMBERED_PER_PEER}")
        self.assertEqual(1, self.done.count("two"))

    def test_and_so_are_its_bytes(self) -> None:
        big = OwnReply({"x": "y" * (BYTES_PER_PEER // 3)})
        for number in range(10):
            self.answer(self.one, f"id{number}", big)
        self.settle()
        total = int(self.wait_for(self.link.call("HGET", "t:ra:alice/jsonline", "")))
        self.assertLessEqual(total, BYTES_PER_PEER)
        self.assertEqual(3, self.wait_for(self.link.call("HLEN", "t:ra:alice/jsonline")))
        self.assertGreater(self.wait_for(self.link.call("TTL", "t:ra:alice/jsonline")), 500)

    def test_what_cannot_cross_is_remembered_by_its_node_alone(self) -> None:
        self.assertEqual("text", self.answer(self.one, outcome="text"))
        self.assertEqual("text", self.answer(self.one, outcome="other"))
        self.assertEqual("more", self.answer(self.two, outcome="more"))

    def test_of_a_session_redis_hears_nothing(self) -> None:
        self.answer(self.one, peer=(*ALICE, "session"))
        self.assertEqual([], self.wait_for(self.link.call("KEYS", "t:ra:*")))


class Nonces(BusCase):
    """Encrypted messages."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.open_nodes("one", "two")
        self.memories = [RedisNonceMemory(node.redis, self.clock) for node in self.nodes]
        for memory in self.memories:
            self.wait_for(memory.first())

    def take(self, which: int, nonce: bytes, kid: str = "k") -> bool:
        return self.wait_for(self.memories[which].take(kid, nonce, 0.0))

    def test_once_over_all_nodes(self) -> None:
        self.assertTrue(self.take(0, b"\0n"))
        self.assertFalse(self.take(0, b"\0n"))
        self.assertFalse(self.take(1, b"\0n"))
        self.assertTrue(self.take(1, b"\0n", "other"))
        self.assertEqual(self.memories[0].since, self.memories[1].since)
        self.assertGreater(self.memories[0].since, 1_600_000_000)

    def test_the_one_of_an_earlier_span(self) -> None:
        slot = int(self.wait_for(self.link.call("TIME"))[0]) // 150
        for earlier in (1, 2, 3, 4):
            nonce = b"%d" % earlier
            self.wait_for(self.link.call("SADD", f"t:no:{slot - earlier}:k", nonce))
            self.assertFalse(self.take(0, nonce))
        key = next(iter(self.wait_for(self.link.call("KEYS", "t:no:*:fresh"))), None)
        self.assertIsNone(key)
        self.take(0, b"n", "fresh")
        (key,) = self.wait_for(self.link.call("KEYS", "t:no:*:fresh"))
        self.assertGreaterEqual(self.wait_for(self.link.call("TTL", key)), 750)

    def test_too_many(self) -> None:
        slot = int(self.wait_for(self.link.call("TIME"))[0]) // 150
        for at in (slot, slot + 1):
            members = [b"%d" % number for number in range(NONCES_PER_KEY)]
            self.wait_for(self.link.call("SADD", f"t:no:{at}:k", *members))
        taken = self.memories[0].take("k", b"n", 0.0)
        self.assertEqual(ErrorCode.TOO_FAST, self.error_of(taken))

    def test_without_redis_none_is_taken(self) -> None:
        self.one.commands.cut()
        self.pump.until(lambda: not self.one.redis.connected)
        self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(self.memories[0].take("k", b"n", 0.0)))


class NoncesLost(BusCase):
    """What a Redis that ends may forget."""

    def restart(self, aof: str) -> tuple[float, float]:
        """When the memory begins, before and after."""
        self.server = RedisServer(aof=aof).start()
        self.addCleanup(self.server.close)
        self.link = self.open_link(timeout=60.0)
        node = self.open_node("node")
        memory = RedisNonceMemory(node.redis, self.clock)
        self.wait_for(memory.first())
        before = memory.since
        self.wait_for(memory.take("k", b"n", 0.0))
        self.server.kill()
        self.server.start()
        self.pump.until(lambda: not node.redis.connected)
        self.pump.until(lambda: node.redis.connected, run_clock=True)
        self.settle()
        return before, memory.since

    def test_that_keeps_everything(self) -> None:
        before, after = self.restart("always")
        self.assertEqual(before, after)

    def test_that_may_lose_something(self) -> None:
        before, after = self.restart("everysec")
        self.assertGreater(after, before)

    def test_that_is_full_when_it_comes_back(self) -> None:
        self.server = RedisServer(aof="everysec").start()
        self.addCleanup(self.server.close)
        self.link = self.open_link(timeout=60.0)
        node = self.open_node("node")
        memory = RedisNonceMemory(node.redis, self.clock)
        self.wait_for(memory.first())
        before = memory.since
        self.server.kill()
        self.server._options = ("--maxmemory", "1")
        self.server.start()
        self.pump.until(lambda: not node.redis.connected)
        self.pump.until(lambda: node.redis.connected and self.link.connected, run_clock=True)
        self.settle()
        self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(memory.take("k", b"n", 0.0)))
        self.wait_for(self.link.call("CONFIG", "SET", "maxmemory", "0"))
        self.pass_time(2.0)
        self.assertGreater(memory.since, before)
        self.assertTrue(self.wait_for(memory.take("k", b"n", 0.0)))

    def test_a_message_whose_time_was_compared_with_what_is_no_longer_so(self) -> None:
        node = self.open_node("node")
        memory = RedisNonceMemory(node.redis, self.clock)
        self.wait_for(memory.first())
        self.wait_for(self.link.call("HSET", "t:nonces", "since", "99999999999"))
        self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(memory.take("k", b"n", 0.0)))
