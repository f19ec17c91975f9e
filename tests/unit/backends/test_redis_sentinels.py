"""Where the sentinels say the master is; and a real fail-over below one node."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.redis.cellar import Place, RedisCellar
from imserver.backends.redis.connection import Greeting
from imserver.backends.redis.replicas import AckSettings
from imserver.backends.redis.sentinels import Opinion, Sentinels, best
from imserver.backends.redis.settings import LinkSettings
from imserver.model.errors import ErrorCode, ImError
from tests.redis.cellar_world import DAY, RedisCase
from tests.redis.link_case import LinkCase
from tests.redis.sentinels import SERVICE, Replicated
from tests.redis.server import RedisServer

QUICK = LinkSettings(timeout=3.0, ping_seconds=0.2, first_delay=0.01, longest_delay=0.05, fails_over=True)


class OpinionTest(SynchronousTestCase):
    """Whom to believe."""

    def test_the_newest_fail_over_counts(self) -> None:
        self.assertIsNone(best([]))
        old, new = Opinion(1, "a", 1), Opinion(2, "b", 1)
        self.assertEqual(("b", 1), best([old, new, old]))
        self.assertEqual(("a", 1), best([old, Opinion(1, "b", 1), old]))


class NoSentinelTest(LinkCase):
    """An address where something else listens."""

    def test_a_redis_is_complained_of_once(self) -> None:
        sentinels = Sentinels(
            [("127.0.0.1", self.server.port)],
            SERVICE,
            Greeting(),
            lambda host, port: self.pump.endpoint(port),
            self.clock,
            time.monotonic,
            Random(1),
            QUICK,
        )
        with capturedLogs() as logged:
            sentinels.start()
            for _ in range(20):
                for _ in range(5):
                    self.pump.turn(0.001)
                self.clock.advance(0.05)
            sentinels.stop()
        told = [formatEvent(event) for event in logged if event["log_level"] >= LogLevel.info]
        self.assertEqual(1, len(told), told)
        self.assertIn("unknown command 'SENTINEL'", told[0])


class FailOverTest(RedisCase):
    """A master with two replicas and three sentinels, all real."""

    replicated: Replicated

    def make_server(self) -> RedisServer:
        if not hasattr(self, "replicated"):
            folder = tempfile.mkdtemp(prefix="imserver-sentinels-")
            self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
            self.replicated = Replicated(Path(folder)).start()
            self.addCleanup(self.replicated.close)
        return self.replicated.servers[0]

    def start(self, **more: Any) -> RedisCellar:
        """A node that asks the sentinels."""
        self._nodes += 1
        sentinels = Sentinels(
            [("127.0.0.1", sentinel.port) for sentinel in self.replicated.sentinels],
            SERVICE,
            Greeting(),
            lambda host, port: self.pump.endpoint(port),
            self.clock,
            time.monotonic,
            Random(3),
            QUICK,
        )
        cellar = RedisCellar(
            Place(sentinels.where, prefix="t:", sentinels=sentinels),
            f"node{self._nodes}",
            self.clock,
            time.monotonic,
            lambda: DAY + self.clock.seconds(),
            self._random_bytes,
            link=QUICK,
            settings=self.settings,
            ack=AckSettings(2, 1.0),
        )
        opened = ensureDeferred(cellar.open())
        self.addCleanup(self._close, cellar)
        marks: list[bytes] = []
        cellar.subscriber.subscribe(f"t:0:settled-{self._nodes}".encode(), marks.extend)
        self.marks.append((cellar, f"t:0:settled-{self._nodes}", marks))
        self.pump.until(lambda: opened.called, run_clock=True)
        self.successResultOf(opened)
        return cellar

    def outcome(self, *args: Any, **kwargs: Any) -> Any:
        """What becomes of a send, however long that takes."""
        ticket = self.submit(*args, **kwargs)
        self.pump.until(lambda: self.sink.outcome(ticket) is not None, run_clock=True)
        return self.sink.outcome(ticket)

    def accepted_at_last(self, *args: Any, **kwargs: Any) -> Any:
        """Sends again until it is accepted."""
        while isinstance(outcome := self.outcome(*args, **kwargs), ImError):
            self.assertEqual(ErrorCode.UNAVAILABLE, outcome.code)
            self.pump.turn(0.05)
        return outcome

    def finish(self, epoch: str, first: Any) -> None:
        """All is well again."""
        second = self.accepted_at_last("alice", "2", recipient="bob", client_id="c2")
        third = self.accepted_at_last("alice", "3", recipient="bob", client_id="c3")
        self.assertEqual(first, self.accepted_at_last("alice", "1", recipient="bob", client_id="c1"))
        self.assertNotEqual(epoch, self.cellar.store.epoch)
        seqs = sorted([first.seq, second.seq, third.seq])
        self.assertEqual([1, 2, 3], seqs)
        self.assertEqual(["1", "2", "3"], sorted(text for _, text in self.texts("bob")))

    def check(self, end: Any, again: Any) -> None:
        self.open_cellar("alice", "bob")
        cellar, epoch = self.redis_cellar, self.cellar.store.epoch
        before = cellar.redis.run_id
        first = self.accepted_at_last("alice", "1", recipient="bob", client_id="c1")
        end()
        lost = self.outcome("alice", "2", recipient="bob", client_id="c2")
        assert isinstance(lost, ImError), lost
        self.assertEqual(ErrorCode.UNAVAILABLE, lost.code)
        self.pump.until(
            lambda: all(one.up for one in cellar.connections()) and cellar.redis.run_id != before,
            run_clock=True,
        )
        # One of the two replicas is the master now and has one replica itself: too few.
        lost = self.outcome("alice", "3", recipient="bob", client_id="c3")
        assert isinstance(lost, ImError), lost
        self.assertEqual(ErrorCode.UNAVAILABLE, self.error_of_check())
        again()
        self.finish(epoch, first)

    def error_of_check(self) -> ErrorCode:
        try:
            self.wait_for(self.cellar.store.check(), run_clock=True)
        except ImError as error:
            return error.code
        raise AssertionError("it finds nothing wrong")

    def test_a_killed_master(self) -> None:
        master = self.make_server()
        self.check(master.kill, master.start)

    def test_a_master_that_stands_still(self) -> None:
        master = self.make_server()
        self.check(master.pause, master.go_on)

    def test_a_fail_over_by_hand(self) -> None:
        """Nothing ends: the node learns it from the sentinels alone."""
        self.open_cellar("alice", "bob")
        epoch, before = self.cellar.store.epoch, self.redis_cellar.redis.run_id
        first = self.accepted_at_last("alice", "1", recipient="bob", client_id="c1")
        self.replicated.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
        self.pump.until(lambda: self.redis_cellar.redis.run_id != before, run_clock=True)
        self.finish(epoch, first)
