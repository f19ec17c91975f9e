"""Slots that only one may have at a time, over all nodes: keys in Redis that live as long as a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from imserver.backends.redis.again import Again
from imserver.backends.redis.faults import unavailable
from imserver.backends.redis.link import Redis
from imserver.backends.redis.scripts import Script, lua
from imserver.model.errors import ErrorCode, ImError

_CLAIM = Script("slot_claim", *lua("nodes", "slot_claim"))
_RELEASE = Script("slot_release", *lua("slot_release"))


class Slots:
    """See `Bus.claim`.

    Args:
        identity: what this node is called now.
        is_lost: whether a node is lost; what it has, nobody has.
        clock: times new attempts.
    """

    def __init__(
        self,
        redis: Redis,
        identity: Callable[[], str],
        is_lost: Callable[[str], bool],
        clock: IReactorTime,
    ) -> None:
        self._redis = redis
        self._identity = identity
        self._is_lost = is_lost
        self._unsaid: list[tuple[str, str]] = []  # releases that Redis may not know of
        self._again = Again(redis, clock, self._say)
        self._again.start()

    async def claim(self, key: str, value: str) -> str:
        """See `Bus.claim`. Raises ImError: UNAVAILABLE, then the slot may be taken or not."""
        reply = await self._redis.script(_CLAIM, args=(key, self._identity(), value))
        if isinstance(reply, list):
            raise unavailable("this node is not one of the others now")
        return str(reply.decode())

    def release(self, key: str, value: str) -> None:
        """See `Bus.release`."""
        self._unsaid.append((key, value))
        self._again.now()

    async def holder(self, key: str) -> str:
        """See `Bus.holder`."""
        held = await self._redis.call("GET", f"{self._redis.prefix}sl:{key}")
        if held is None:
            return ""
        owner, _, value = held.partition(b"\0")
        return "" if self._is_lost(owner.decode()) else str(value.decode())

    def reset(self) -> None:
        """This node has another name: what it had, nobody has."""
        self._unsaid.clear()

    def _say(self) -> None:
        told, self._unsaid = self._unsaid, []
        if told:
            arguments = [word for slot in told for word in slot]
            self._redis.script(_RELEASE, args=arguments).addErrback(self._keep, told)

    def _keep(self, failure: Any, told: list[tuple[str, str]]) -> None:
        if isinstance(failure.value, ImError) and failure.value.code is ErrorCode.UNAVAILABLE:
            self._unsaid = told + self._unsaid
            self._again.later()
