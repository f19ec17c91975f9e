"""The base of tests that speak to a real Redis: one server for the process, emptied for each test."""

from __future__ import annotations

import atexit
import time
from collections.abc import Awaitable
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.redis.connection import Greeting, at
from imserver.backends.redis.link import Redis
from imserver.backends.redis.settings import LinkSettings
from imserver.backends.redis.subscriber import Subscriber
from tests.redis.pump import Pump
from tests.redis.server import RedisServer

T = TypeVar("T")

_shared: dict[str, RedisServer] = {}


def shared_server(aof: str = "") -> RedisServer:
    """A server that lives as long as the test process; `aof` as for RedisServer."""
    server = _shared.get(aof)
    if server is None:
        server = _shared[aof] = RedisServer(aof=aof).start()
        atexit.register(server.close)
    return server


class LinkCase(SynchronousTestCase):
    """Makes links to a real Redis; `pump` moves the bytes.

    A test that kills its Redis has one of its own, from `make_server`.
    """

    def setUp(self) -> None:
        self.pump = Pump()
        self.clock = self.pump.clock
        self.server = self.make_server()

    def make_server(self) -> RedisServer:
        """The Redis that is used."""
        return shared_server()

    def make_link(self, **settings: Any) -> Redis:
        """A link that is not started."""
        return Redis(
            at(self.pump.endpoint(self.server.port)),
            Greeting(),
            self.clock,
            time.monotonic,
            Random(1),
            LinkSettings(**settings),
            "t:",
        )

    def make_subscriber(self, **settings: Any) -> Subscriber:
        """Likewise."""
        return Subscriber(
            at(self.pump.endpoint(self.server.port)),
            Greeting(),
            self.clock,
            time.monotonic,
            Random(2),
            LinkSettings(**settings),
        )

    def open_link(self, **settings: Any) -> Redis:
        """A link to an empty Redis; stopped at the test's end."""
        link = self.make_link(**settings)
        link.start()
        self.addCleanup(self._stop, link)
        self.pump.until(lambda: link.connected)
        self.wait_for(link.call("FLUSHALL"))
        return link

    def _stop(self, link: Redis | Subscriber) -> None:
        link.stop()
        self.pump.turn()

    def wait_for(self, awaitable: Awaitable[T], *, run_clock: bool = False) -> T:
        """Moves bytes until it has ended."""
        outcome: list[Any] = []
        waiting: Deferred[Any] = ensureDeferred(awaitable)  # type: ignore[arg-type]
        waiting.addBoth(outcome.append)
        self.pump.until(lambda: outcome, run_clock=run_clock)
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        result: T = outcome[0]
        return result
