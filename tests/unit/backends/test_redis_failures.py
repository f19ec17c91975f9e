"""Redis away, silent, full, demoted, forgetful: what is refused, what is never lost, what comes back."""

from __future__ import annotations

import shutil
import time
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import LogLevel, capturedLogs, formatEvent

from imserver.backends.redis.cellar import RedisCellar
from imserver.backends.redis.link import Redis
from imserver.backends.redis.settings import LinkSettings, StoreSettings
from imserver.model.accounts import Role
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Content, Form, MarkRead, ReadHistory, RevokeMessage, SendMessage
from tests.contracts.cellar_case import BIG
from tests.redis.cellar_world import RedisCase
from tests.redis.proxy import Proxy
from tests.redis.server import RedisServer

QUICK = LinkSettings(timeout=3.0, ping_seconds=0.2, first_delay=0.01, longest_delay=0.05)


class OwnServer(RedisCase):
    """A Redis of the test's own, which it may kill."""

    aof = "always"

    def make_server(self) -> RedisServer:
        server = RedisServer(aof=self.aof).start()
        self.addCleanup(server.close)
        return server

    def gone(self) -> None:
        """Until the node knows that Redis is away."""
        self.pump.until(lambda: not self.redis_cellar.redis.connected, run_clock=True)

    def back(self) -> None:
        """Until everything is connected again and repaired."""
        cellar = self.redis_cellar
        self.pump.until(lambda: cellar.redis.connected and cellar.subscriber.whole, run_clock=True)
        self.settle()

    def refused_soon(self, ticket: int) -> ErrorCode:
        """Why a send is refused, though Redis does not answer."""
        self.pump.until(lambda: self.sink.outcome(ticket) is not None, run_clock=True)
        outcome = self.sink.outcome(ticket)
        assert isinstance(outcome, ImError), outcome
        return outcome.code


class KilledTest(OwnServer):
    """SIGKILL, and a start with what was on the disk."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob")
        self.store = self.cellar.store
        # What may have been missed before the start is told when Redis has answered, which may be after it.
        self.wait_for(self.store.check())
        self.sink.times_missed = 0

    def test_what_was_acknowledged_is_there_and_the_rest_was_refused(self) -> None:
        first = self.send("alice", "1", recipient="bob", client_id="c1")
        epoch = self.store.epoch
        self.server.kill()
        lost = self.submit("alice", "2", recipient="bob", client_id="c2")
        self.assertEqual(ErrorCode.UNAVAILABLE, self.refused_soon(lost))
        self.gone()
        self.assertEqual(ErrorCode.UNAVAILABLE, self.refused_soon(self.submit("alice", "3", recipient="bob")))
        self.server.start()
        self.back()
        self.assertEqual(first, self.send("alice", "1", recipient="bob", client_id="c1"))
        self.assertEqual(2, self.send("alice", "2", recipient="bob", client_id="c2").seq)
        self.assertEqual([(1, "1"), (2, "2")], self.texts("bob"))
        self.assertEqual(epoch, self.store.epoch)
        self.assertEqual(epoch, self.inbox("bob").epoch)

    def test_while_it_is_away_answers_keep_their_order(self) -> None:
        self.server.kill()
        self.gone()
        tickets: list[Any] = [self.submit("alice", recipient="bob")]
        self.store.refuse("refused", ImError(ErrorCode.TOO_LARGE, ""))
        tickets += ["refused", self.submit("alice", recipient="bob", conversation="x" * 200)]
        self.assertEqual([], self.sink.answers)
        self.settle()
        self.assertEqual(tickets, [answer.ticket for answer in self.sink.answers])
        self.assertEqual(
            [ErrorCode.UNAVAILABLE, ErrorCode.TOO_LARGE, ErrorCode.BAD_REQUEST],
            [self.code(ticket) for ticket in tickets],
        )

    def test_everything_else_is_refused_for_now(self) -> None:
        sent = self.send("alice", recipient="bob")
        self.server.kill()
        self.gone()
        store, directory, bob = self.store, self.cellar.directory, self.principal("bob")
        for waiting in (
            store.check(),
            store.inbox("bob", 0, 0, 10, BIG),
            store.history("bob", ReadHistory(recipient="alice"), 10, BIG),
            store.conversations("bob", "", 10, BIG),
            store.head("bob"),
            store.cursor("bob", "f", "d"),
            store.changes("bob", 0, 10),
            store.revoke(bob, RevokeMessage(sent.message_id), 120.0),
            store.mark_read(bob, MarkRead((sent.message_id,))),
            store.resolve("bob", recipient="alice"),
            store.calls("bob", "", 10),
            directory.account("bob"),
            directory.group("g"),
            directory.circle("bob"),
            directory.circle("bob", 9),
        ):
            self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(waiting))
        self.server.start()
        self.back()
        self.assertIsNone(self.wait_for(store.check()))

    def test_acknowledgements_wait_for_it(self) -> None:
        for _ in range(3):
            self.send("alice", recipient="bob")
        self.wait_for(self.store.cursor("bob", "f", "d"))
        self.wait_for(self.store.head("bob"))
        self.store.acknowledge("bob", "f", "d", 1)
        self.server.kill()
        self.gone()
        self.store.acknowledge("bob", "f", "d", 3)
        self.later(5.0)
        self.server.start()
        self.back()
        self.later(1.0)
        other = self.start()
        self.assertEqual(3, self.wait_for(other.store.cursor("bob", "f", "d")).acked)

    def test_the_sink_is_told_that_it_missed_something(self) -> None:
        self.server.kill()
        self.gone()
        self.server.start()
        self.back()
        self.assertGreaterEqual(self.sink.times_missed, 1)

    def test_also_if_only_commands_were_cut(self) -> None:
        """Everything was heard, but sessions that were just reading were refused."""
        beside = self.make_link()
        beside.start()
        self.addCleanup(self._stop, beside)
        self.pump.until(lambda: beside.connected)
        self.wait_for(beside.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        self.gone()
        self.assertTrue(self.redis_cellar.subscriber.whole)
        self.back()
        self.assertEqual(1, self.sink.times_missed)

    def test_a_broadcast_goes_on(self) -> None:
        self.settings.fanout_users = 1
        ticket = self.submit("alice", "all", broadcast=True, role=Role.ADMIN)
        self.pump.until(lambda: self.sink.outcome(ticket) is not None)
        self.server.kill()
        self.gone()
        self.server.start()
        self.back()
        self.later(2.0)
        self.assertEqual([(1, "all")], self.texts("bob"))
        self.assertEqual([(1, "all")], self.texts("alice"))

    def test_another_node_finishes_a_broadcast(self) -> None:
        self.settings.fanout_users = 1
        self.redis_cellar._broadcasts.stop()
        self.send("alice", "all", broadcast=True, role=Role.ADMIN)
        self.assertEqual([], self.texts("bob"))
        other = self.start()
        sink = self.sink_of(other)
        self.settle()
        self.assertEqual([(1, "all")], self.texts("bob"))
        self.assertEqual([("bob", 1)], [pair for entry in sink.entries for pair in entry.recipients])


class LostRowsTest(OwnServer):
    """A Redis that comes back with less than it had acknowledged."""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob")
        self.store = self.cellar.store

    def keep(self) -> None:
        """What is on the disk now is what will be there."""
        self.kept = self.server.folder.with_name(self.server.folder.name + "-kept")
        shutil.copytree(self.server.folder, self.kept)
        self.addCleanup(shutil.rmtree, self.kept, ignore_errors=True)

    def fall_back(self) -> None:
        """Redis is killed and starts with what was kept."""
        self.server.kill()
        self.gone()
        shutil.rmtree(self.server.folder)
        shutil.copytree(self.kept, self.server.folder)
        self.server.start()
        self.back()

    def test_a_new_epoch_begins_and_ids_are_new_ones(self) -> None:
        self.send("alice", "1", recipient="bob")
        self.keep()
        lost = self.send("alice", "2", recipient="bob")
        epoch = self.store.epoch
        self.fall_back()
        self.assertNotEqual(epoch, self.store.epoch)
        self.assertEqual([(1, "1")], self.texts("bob"))
        again = self.send("alice", "2", recipient="bob")
        self.assertEqual(lost.seq, again.seq)
        self.assertNotEqual(lost.message_id, again.message_id)
        self.assertEqual(self.store.epoch, self.inbox("bob").epoch)

    def test_though_it_is_full_when_it_comes_back(self) -> None:
        """It could not say what it has; what was sent there meanwhile proves nothing."""
        self.send("alice", "1", recipient="bob")
        self.keep()
        self.send("alice", "2", recipient="bob")
        epoch = self.store.epoch
        self.server._options = ("--maxmemory", "1")
        self.fall_back()
        self.assertEqual(epoch, self.store.epoch)
        other = self.open_link_beside()
        self.wait_for(other.call("CONFIG", "SET", "maxmemory", "0"))
        self.send("alice", "another one", recipient="bob")
        self.later(2.0)
        self.assertNotEqual(epoch, self.store.epoch)
        self.assertEqual(self.store.epoch, self.start().store.epoch)

    def open_link_beside(self) -> Redis:
        link = self.make_link()
        link.start()
        self.addCleanup(self._stop, link)
        self.pump.until(lambda: link.connected)
        return link

    def test_all_nodes_agree(self) -> None:
        other = self.start()
        self.keep()
        self.send("alice", "lost", recipient="bob")
        epoch = self.store.epoch
        self.fall_back()
        self.pump.until(lambda: other.redis.connected and other.subscriber.whole, run_clock=True)
        self.settle()
        self.assertNotEqual(epoch, self.store.epoch)
        self.assertEqual(self.store.epoch, self.start().store.epoch)

    def test_another_node_has_used_the_numbers_already(self) -> None:
        """This node comes later, when there are other messages under the numbers it knows."""
        proxy = Proxy(self.pump, self.server.port)
        late = self.start(where=proxy.where)
        sink = self.sink_of(late)
        self.keep()
        late.store.append(self.principal("alice"), _text("lost"), "t")
        self.settle()
        assert sink.outcome("t") is not None
        epoch = late.store.epoch
        proxy.mute = True
        self.fall_back()
        self.assertEqual(epoch, self.store.epoch, "this one saw nothing of what was lost")
        for number in range(5):
            self.send("alice", f"{number}", recipient="bob")
        proxy.cut()
        proxy.let_through()
        self.pump.turn()
        self.pump.until(lambda: late.redis.connected and late.subscriber.whole, run_clock=True)
        self.settle()
        self.assertNotEqual(epoch, late.store.epoch)
        self.assertEqual(late.store.epoch, self.store.epoch)
        self.assertGreaterEqual(self.sink.times_missed, 2)


def _text(words: str) -> SendMessage:
    return SendMessage(Content(Form.TEXT, words.encode()), recipient="bob")


class NobodyKnowsTest(OwnServer):
    """A Redis that may lose something, and no node that saw what was there."""

    aof = "everysec"

    def restart_all(self) -> tuple[str, str]:
        """The epochs before and after."""
        self.open_cellar("alice", "bob")
        self.send("alice", recipient="bob")
        before = self.cellar.store.epoch
        self._close(self.redis_cellar)
        self.marks.clear()
        self.server.kill()
        self.server.start()
        self.redis_cellar = self.cellar = self.start()
        self.assertEqual([(1, "hello")], self.texts("bob"))
        return before, self.cellar.store.epoch

    def test_a_new_epoch_begins_to_be_sure(self) -> None:
        before, after = self.restart_all()
        self.assertNotEqual(before, after)
        self._close(self.redis_cellar)
        self.marks.clear()
        self.assertEqual(after, self.start().store.epoch, "the same Redis")

    def test_unless_redis_writes_everything_at_once(self) -> None:
        self.aof = "always"
        before, after = self.restart_all()
        self.assertEqual(before, after)


class SilentTest(OwnServer):
    """SIGSTOP: connections stay, and nothing answers."""

    aof = ""

    def make_cellar(self, **settings: Any) -> RedisCellar:
        super().make_cellar(**settings)
        self._close(self.redis_cellar)
        self.marks.clear()
        self.redis_cellar = self.start(link=QUICK)
        return self.redis_cellar

    def setUp(self) -> None:
        self.open_cellar("alice", "bob")

    def test_what_was_refused_is_not_done_later(self) -> None:
        self.send("alice", "1", recipient="bob")
        self.server.pause()
        tickets = [self.submit("alice", f"lost {number}", recipient="bob") for number in range(3)]
        self.assertEqual([ErrorCode.UNAVAILABLE] * 3, [self.refused_soon(ticket) for ticket in tickets])
        self.gone()
        self.server.go_on()
        self.back()
        self.send("alice", "2", recipient="bob")
        self.assertEqual([(1, "1"), (2, "2")], self.texts("bob"))

    def test_the_check_fails_soon(self) -> None:
        self.server.pause()
        checking = ensureDeferred(self.cellar.store.check())
        self.pump.until(lambda: checking.called, run_clock=True)
        self.assertEqual(ErrorCode.UNAVAILABLE, self.failureResultOf(checking, ImError).value.code)
        self.server.go_on()
        self.back()
        self.assertIsNone(self.wait_for(self.cellar.store.check()))

    def test_the_feed_is_given_up_too(self) -> None:
        """The connection that listens is stopped with it, and both come back."""
        self.server.pause()
        self.pump.until(lambda: not self.redis_cellar.subscriber.whole, run_clock=True)
        self.gone()
        self.server.go_on()
        self.back()
        self.send("alice", recipient="bob")
        self.assertEqual(1, len(self.sink.entries))


class UnwillingTest(OwnServer):
    """A Redis that is there and refuses."""

    aof = ""

    def setUp(self) -> None:
        self.open_cellar("alice", "bob")
        self.other = self.make_link()
        self.other.start()
        self.addCleanup(self._stop, self.other)
        self.pump.until(lambda: self.other.connected)

    def command(self, *words: Any) -> None:
        self.pump.until(lambda: self.other.connected, run_clock=True)
        waiting = self.other.call(*words)
        self.pump.until(lambda: waiting.called)
        waiting.addErrback(lambda _: None)

    def test_a_full_one(self) -> None:
        self.send("alice", "1", recipient="bob")
        self.command("CONFIG", "SET", "maxmemory", "1")
        with capturedLogs() as logged:
            self.assertEqual(ErrorCode.UNAVAILABLE, self.refused("alice", "2", recipient="bob"))
            self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of(self.cellar.store.check()))
        told = [formatEvent(event) for event in logged if event["log_level"] is LogLevel.error]
        self.assertEqual(1, len(told), told)
        self.assertIn("Redis refuses: OOM", told[0])
        self.command("CONFIG", "SET", "maxmemory", "0")
        self.assertIsNone(self.wait_for(self.cellar.store.check()))
        self.send("alice", "3", recipient="bob")
        self.assertEqual([(1, "1"), (2, "3")], self.texts("bob"))

    def test_one_that_would_throw_messages_away_when_it_is_full(self) -> None:
        link = self.make_link(first_delay=0.01, longest_delay=0.02)
        self.addCleanup(self._stop, link)
        self.command("CONFIG", "SET", "maxmemory", "1gb")
        for policy in ("allkeys-lru", "volatile-ttl"):
            self.command("CONFIG", "SET", "maxmemory-policy", policy)
            link.start()
            self.pump.until(lambda: "maxmemory-policy" in link.fault, run_clock=True)
            self.assertIn(policy, link.fault)
            self.assertFalse(link.connected)
            self.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
            self.pump.until(lambda: link.connected, run_clock=True)
            self._stop(link)

    def test_without_a_limit_it_throws_nothing_away(self) -> None:
        self.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        link = self.make_link()
        link.start()
        self.addCleanup(self._stop, link)
        self.pump.until(lambda: link.connected)

    def test_one_that_writes_nothing_down_is_warned_of_once(self) -> None:
        with capturedLogs() as logged:
            link = self.make_link()
            for _ in range(2):
                link.start()
                self.pump.until(lambda: link.connected)
                self._stop(link)
        told = [formatEvent(event) for event in logged if event["log_level"] is LogLevel.warn]
        self.assertEqual(1, len(told), told)
        self.assertIn("append-only", told[0])

    def test_one_that_has_forgotten_the_scripts(self) -> None:
        self.send("alice", "1", recipient="bob")
        self.command("SCRIPT", "FLUSH")
        tickets = [self.submit("alice", f"{number}", recipient="bob") for number in range(3)]
        self.settle()
        self.assertEqual([ErrorCode.UNAVAILABLE] * 3, [self.code(ticket) for ticket in tickets])
        self.send("alice", "2", recipient="bob")
        self.assertEqual([(1, "1"), (2, "2")], self.texts("bob"))

    def test_one_that_is_a_replica_now(self) -> None:
        master = RedisServer().start()
        self.addCleanup(master.close)
        self.command("REPLICAOF", "127.0.0.1", master.port)
        ticket = self.submit("alice", recipient="bob")
        self.assertEqual(ErrorCode.UNAVAILABLE, self.refused_soon(ticket))
        self.gone()
        for _ in range(20):
            self.pump.turn(0.01)
            self.clock.advance(0.5)
            self.assertFalse(self.redis_cellar.redis.connected, "a replica is no place to write")

    def test_sends_beyond_the_queue_are_refused_and_those_before_are_not(self) -> None:
        small = self.start(link=LinkSettings(timeout=60.0, queue_commands=5))
        sink = self.sink_of(small)
        self.settle()
        for number in range(8):
            small.store.append(self.principal("alice"), _text(f"{number}"), number)
        self.settle()
        codes = [None if not isinstance(one := sink.outcome(n), ImError) else one.code for n in range(8)]
        self.assertEqual([None] * 5 + [ErrorCode.UNAVAILABLE] * 3, codes)
        self.assertEqual(list(range(8)), [answer.ticket for answer in sink.answers])
        self.assertEqual([(n + 1, f"{n}") for n in range(5)], self.texts("bob"))


class FastClockTest(OwnServer):
    """A node whose clock is years ahead."""

    def test_it_does_not_drive_the_others(self) -> None:
        self.open_cellar("alice", "bob")
        self.clock.advance(40 * 365 * 86400.0)
        before = time.time()
        sent = self.send("alice", recipient="bob")
        self.assertTrue(before <= sent.server_at <= time.time() + 6.0, sent)


class SettingsTest(OwnServer):
    """What may be changed while it runs."""

    def test_the_rate(self) -> None:
        self.open_cellar("alice", "bob", sends_per_second=1.0, send_burst=1.0)
        self.send("alice", recipient="bob")
        self.assertEqual(ErrorCode.TOO_FAST, self.refused("alice", recipient="bob"))
        settings: StoreSettings = self.redis_cellar.settings
        settings.sends_per_second = 0.0
        self.send("alice", recipient="bob")

    def test_the_rate_counts_over_all_nodes(self) -> None:
        self.open_cellar("alice", "bob", sends_per_second=1.0, send_burst=2.0)
        other = self.start()
        sink = self.sink_of(other)
        self.send("alice", "1", recipient="bob")
        other.store.append(self.principal("alice"), _text("2"), 2)
        other.store.append(self.principal("alice"), _text("3"), 3)
        self.settle()
        self.assertNotIsInstance(sink.outcome(2), ImError)
        outcome = sink.outcome(3)
        assert isinstance(outcome, ImError)
        self.assertEqual(ErrorCode.TOO_FAST, outcome.code)
        self.assertGreater(other.store.send_delay("alice"), 0.0)
        self.assertEqual(0.0, self.cellar.store.send_delay("alice"), "it does not know yet")
        self.assertEqual(ErrorCode.TOO_FAST, self.refused("alice", recipient="bob"))
        self.assertGreater(self.cellar.store.send_delay("alice"), 0.0)
