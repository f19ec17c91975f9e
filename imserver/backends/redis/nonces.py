"""Nonces that were used, over all nodes (`services.replays.NonceMemory`)."""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from imserver.backends.redis.faults import unavailable
from imserver.backends.redis.link import Redis
from imserver.backends.redis.scripts import Script, lua
from imserver.model.errors import ErrorCode, ImError
from imserver.services.replays import NONCES_PER_KEY, REMEMBERED, SLOT

_SLOTS = 1 + math.ceil(REMEMBERED / SLOT)
_SINCE = Script("nonces_since", *lua("nonces_since"))
_TAKE = Script("nonce_take", *lua("nonce_take"))


class RedisNonceMemory:
    """See the module. It begins anew when a Redis ended that may have lost some."""

    log = Logger()

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._told = b""
        self._since = 0.0
        self._waiting: list[Deferred[None]] = []
        redis.watch(self._ask, _nothing)

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
        asked = self._redis.script(_SINCE, args=words)
        asked.addCallback(self._known)
        # Should Redis be lost again meanwhile, the next attempt asks again.
        asked.addErrback(lambda failure: self.log.warn("{text}", text=failure.getErrorMessage()))

    def _known(self, reply: Any) -> None:
        self._told = reply
        self._since = float(reply)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


def _nothing() -> None:
    pass
