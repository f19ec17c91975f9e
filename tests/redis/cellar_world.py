"""The Redis cellar under a test's control: a real Redis, one clock that stands still, pumped sockets."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from twisted.internet.defer import ensureDeferred

from imserver.backends.redis.cellar import Place, RedisCellar
from imserver.backends.redis.connection import at
from imserver.backends.redis.settings import LinkSettings, StoreSettings
from tests.contracts.cellar_case import CellarCase, Recorder
from tests.redis.link_case import LinkCase

T = TypeVar("T")
DAY = 1_700_000_000.0
PATIENT = LinkSettings(timeout=60.0)
"""Nothing is too late because a machine is slow."""


class RedisCase(LinkCase, CellarCase):
    """Makes cellars over one empty Redis; mixed into the contract suites."""

    redis_cellar: RedisCellar

    def make_cellar(self, **settings: Any) -> RedisCellar:
        """A fresh cellar."""
        for cellar, _, _ in getattr(self, "marks", ()):
            self._close(cellar)
        LinkCase.setUp(self)
        self.settings = StoreSettings(**settings)
        self._nodes = 0
        self._random = 0
        self.marks: list[tuple[RedisCellar, str, list[bytes]]] = []
        link = self.make_link()
        link.start()
        self.pump.until(lambda: link.connected)
        self.wait_for(link.call("FLUSHALL"))
        link.stop()
        self.redis_cellar = self.start()
        return self.redis_cellar

    def start(self, *, link: LinkSettings = PATIENT, where: Any = None) -> RedisCellar:
        """A node over the Redis as it is."""
        self._nodes += 1
        cellar = RedisCellar(
            Place(where or at(self.pump.endpoint(self.server.port)), prefix="t:"),
            f"node{self._nodes}",
            self.clock,
            time.monotonic,
            lambda: DAY + self.clock.seconds(),
            self._random_bytes,
            link=link,
            settings=self.settings,
        )
        opened = ensureDeferred(cellar.open())
        self.addCleanup(self._close, cellar)
        marks: list[bytes] = []
        cellar.subscriber.subscribe(f"t:0:settled-{self._nodes}".encode(), marks.extend)
        self.marks.append((cellar, f"t:0:settled-{self._nodes}", marks))
        self.pump.until(lambda: opened.called, run_clock=True)
        self.successResultOf(opened)
        return cellar

    def _close(self, cellar: RedisCellar) -> None:
        closed = ensureDeferred(cellar.close())
        self.pump.until(lambda: closed.called, run_clock=True)
        self.pump.turn()

    def _random_bytes(self, length: int) -> bytes:
        self._random += 1
        return self._random.to_bytes(length, "big")

    def sink_of(self, cellar: RedisCellar) -> Recorder:
        """What comes out of a node."""
        sink = Recorder()
        cellar.store.attach(sink)
        return sink

    def wait_for(self, awaitable: Awaitable[T], *, run_clock: bool = False) -> T:
        """See CellarCase. What was published by then has come, too."""
        result = LinkCase.wait_for(self, awaitable, run_clock=run_clock)
        self._hear()
        return result

    def settle(self) -> None:
        """Until nothing waits for Redis, nothing is due, and all that was published has come."""
        while True:
            self.pump.until(self._quiet)
            self._hear()
            if self._quiet():
                return

    def _hear(self) -> None:
        for cellar, channel, marks in self.marks:
            # What was published before this comes before it.
            if self._whole(cellar):
                marks.clear()
                cellar.redis.call("PUBLISH", channel, "settled").addErrback(lambda _: None)
                self.pump.until(lambda c=cellar, m=marks: m or not self._whole(c))  # type: ignore[misc]

    @staticmethod
    def _whole(cellar: RedisCellar) -> bool:
        return cellar.redis.connected and cellar.subscriber.whole

    def _quiet(self) -> bool:
        return not self.pump.due() and all(not cellar.redis.waiting for cellar, _, _ in self.marks)

    def later(self, seconds: float) -> None:
        """Lets time pass."""
        self.settle()
        self.clock.advance(seconds)
        self.settle()
