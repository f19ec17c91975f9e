"""The inbox epoch: it changes when acknowledged messages may have been lost with a Redis.

Whenever a Redis is reached, before anything else is said to it, the node says what it saw last. If
that is not there, or nobody can tell, a new epoch begins, and all nodes are told. While Redis refuses
to answer that (it is full, say), the node asks again, about what it saw before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.redis.again import Again
from imserver.backends.redis.core import Core
from imserver.backends.redis.keys import EPOCH
from imserver.backends.redis.scripts import Script, lua
from imserver.backends.redis.subscriber import Subscriber

REJOIN = Script("rejoin", *lua("lists", "rejoin"))


class Epoch:
    """What this node knows of the epoch.

    Attributes:
        name: the epoch; "" = not known yet.
        began: called when another epoch has begun.
    """

    _log = Logger()

    def __init__(self, core: Core, subscriber: Subscriber, random_bytes: Callable[[int], bytes]) -> None:
        self._core = core
        self._random_bytes = random_bytes
        self.name = ""
        self.began: list[Callable[[], None]] = []
        self._waiting: list[Deferred[str]] = []
        # What was seen last, and in which epoch, before the Redis that has not answered yet was reached.
        self._seen: tuple[tuple[int, int, int], str] | None = None
        self._complained = False
        self._again = Again(core.redis, core.clock, self._rejoin)
        self._again.start()
        channel = f"{core.redis.channels}{EPOCH}".encode()
        subscriber.subscribe(channel, self._heard).addErrback(lambda _: None)
        # What was said while nobody listened here.
        subscriber.watch(self._look, _nothing)

    def first(self) -> Deferred[str]:
        """Fires with the epoch once it is known, however long Redis is away."""
        waiting: Deferred[str] = Deferred()
        if self.name:
            waiting.callback(self.name)
        else:
            self._waiting.append(waiting)
        return waiting

    def _rejoin(self) -> None:
        core = self._core
        if self._seen is None:
            self._seen = core.last, self.name
        last, name = self._seen
        words = (
            core.redis.run_id,
            int(core.redis.loses_nothing),
            *last,
            name,
            self._random_bytes(8).hex(),
            int(core.redis.fails_over),
        )
        core.redis.script(REJOIN, (), words).addCallbacks(self._rejoined, self._refused)

    def _rejoined(self, reply: Any) -> None:
        if reply is None:
            self._complain("a migration into this Redis has not come to its end: run imserver migrate again")
            return
        self._seen = None
        self._complained = False
        self._take(reply[0])

    def _refused(self, failure: Failure) -> None:
        self._complain(f"nobody knows yet whether messages were lost: {failure.getErrorMessage()}")

    def _complain(self, text: str) -> None:
        if not self._complained:
            self._complained = True
            self._log.error("{text}", text=text)
        self._again.later()

    def _heard(self, payloads: list[bytes]) -> None:
        self._take(payloads[-1])

    def _look(self) -> None:
        redis = self._core.redis
        if self.name and redis.connected:
            redis.call("HGET", redis.prefix + "epoch", "name").addCallbacks(self._take, lambda _: None)

    def _take(self, reply: bytes | None) -> None:
        name = reply.decode() if reply else self.name
        if name == self.name:
            return
        before, self.name = self.name, name
        if before:
            self._log.warn("messages may have been lost with Redis: a new epoch has begun")
            self._core.heads.forget()
            self._core.last = (0, 0, 0)
            for callback in self.began:
                callback()
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(name)


def _nothing() -> None:
    pass
