"""Nonces that were used, over all nodes (`services.replays.NonceMemory`)."""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.redis.again import Again
from imserver.backends.redis.faults import unavailable
from imserver.backends.redis.link import Redis
from imserver.backends.redis.scripts import Script, lua
from imserver.model.errors import ErrorCode, ImError
from imserver.services.replays import NONCES_PER_KEY, REMEMBERED, SLOT

_SLOTS = 1 + math.ceil(REMEMBERED / SLOT)
_SINCE = Script("nonces_since", *lua("nonces_since"))
_TAKE = Script("nonce_take", *lua("nonce_take"))


class RedisNonceMemory:
    """See the module. It begins anew when a Redis ended that may have lost some.

    Args:
        clock: times new attempts to ask when that was.
    """

    log = Logger()

    def __init__(self, redis: Redis, clock: IReactorTime) -> None:
        self._redis = redis
        self._told = b""
        self._since = 0.0
        self._waiting: list[Deferred[None]] = []
        self._again = Again(redis, clock, self._ask)
        self._again.start()

    def first(self) -> Deferred[None]:
        """Fires once it is known from when on it knows of every nonce, however long Redis is away."""
        waiting: Deferred[None] = Deferred()
        if self._told:
            waiting.callback(None)
        else:
            self._waiting.append(waiting)
        return waiting

    @property
    def since(self) -> float:
        """See NonceMemory."""
        return self._since

    async def take(self, kid: str, nonce: bytes, now: float) -> bool:
        """See NonceMemory. The time is Redis' own."""
        words = (kid, nonce, self._told, int(SLOT), _SLOTS, NONCES_PER_KEY)
        taken = await self._redis.script(_TAKE, args=words)
        if taken == b"moved":
            # Its time was compared with what is no longer so.
            raise unavailable("the memory of nonces begins anew")
        if taken == b"full":
            raise ImError(ErrorCode.TOO_FAST, "too many encrypted messages under this key")
        return bool(taken)

    def _ask(self) -> None:
        words = (self._redis.run_id, int(self._redis.loses_nothing))
        self._redis.script(_SINCE, args=words).addCallbacks(self._known, self._refused)

    def _refused(self, failure: Failure) -> None:
        self.log.debug("it is not known which nonces were used: {text}", text=failure.getErrorMessage())
        self._again.later()

    def _known(self, reply: Any) -> None:
        self._told = reply
        self._since = float(reply)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)
