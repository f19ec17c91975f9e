"""Answers to requests that are done once, over all nodes (`services.retries.AnswerMemory`).

A node looks into its own memory first; Redis knows what other nodes have answered, and what they are
about to. A request whose node is lost while it does it, is done by whoever is asked next.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from imserver.backends.redis.again import Again
from imserver.backends.redis.crossing import Unpackable, may_cross, pack, unpack
from imserver.backends.redis.faults import unavailable
from imserver.backends.redis.link import Redis
from imserver.backends.redis.scripts import Script, lua
from imserver.model.errors import ErrorCode, ImError
from imserver.services.retries import (
    REMEMBERED_PER_PEER,
    REMEMBERED_SECONDS,
    LocalAnswerMemory,
    Peer,
    Work,
    digest_of,
)

BYTES_PER_PEER = 1024 * 1024
"""Of all answers kept for one user in one format; longer ones only their own node knows."""
LOOK_SECONDS = 0.25
LOOKS = 80
"""How often, and how many times, is looked whether another node has done a request."""
MOST_UNSAID = 10_000

_BEGIN = Script("answer_begin", *lua("nodes", "answer_begin"))
_END = Script("answer_end", *lua("answer_end"))


class RedisAnswerMemory:
    """See the module.

    Args:
        identity: what this node is called now.
        clock: times the looks, and new attempts to say what came of a request.
    """

    def __init__(self, redis: Redis, identity: Callable[[], str], clock: IReactorTime) -> None:
        self._redis = redis
        self._identity = identity
        self._clock = clock
        self._local = LocalAnswerMemory(clock.seconds)
        self._unsaid: list[tuple[Any, ...]] = []  # outcomes that Redis does not know of
        self._again = Again(redis, clock, self._say)
        self._again.start()

    async def once(self, peer: Peer, retry_id: str, command: Any, work: Work) -> Any:
        """See AnswerMemory."""
        if len(peer) > 2:  # a session's own: it is on one node only
            return await self._local.once(peer, retry_id, command, work)
        shared = partial(self._shared, "/".join(peer), retry_id, digest_of(command), work)
        return await self._local.once(peer, retry_id, command, shared)

    async def _shared(self, peer: str, retry_id: str, digest: bytes, work: Work) -> Any:
        identity = self._identity()
        known = await self._begin(peer, retry_id, digest, identity)
        if known is not None:
            try:
                return unpack(known)
            except Unpackable:
                # A newer version answered it; what it said, this one cannot say.
                raise unavailable("the answer is another node's") from None
        outcome = b""
        try:
            answer = await work()
            if may_cross(answer) and len(packed := pack(answer)) <= BYTES_PER_PEER:
                outcome = packed
            return answer
        finally:
            self._unsaid.append(
                (
                    peer, retry_id, digest, identity, outcome, int(REMEMBERED_SECONDS), REMEMBERED_PER_PEER,
                    BYTES_PER_PEER,
                )
            )  # fmt: skip
            del self._unsaid[:-MOST_UNSAID]
            self._again.now()

    async def _begin(self, peer: str, retry_id: str, digest: bytes, identity: str) -> bytes | None:
        """The packed answer, or None: this node is to do it."""
        words = (peer, retry_id, digest, identity, int(REMEMBERED_SECONDS))
        for _ in range(LOOKS):
            reply = await self._redis.script(_BEGIN, args=words)
            if reply == b"go":
                return None
            if reply == b"other":
                raise ImError(ErrorCode.CONFLICT, "another request bore this id")
            if isinstance(reply, list):
                answer: bytes = reply[1]
                return answer
            await deferLater(self._clock, LOOK_SECONDS)
        raise unavailable("another node is still doing it")

    def _say(self) -> None:
        told, self._unsaid = self._unsaid, []
        for words in told:
            self._redis.script(_END, args=words).addErrback(self._keep, words)

    def _keep(self, failure: Any, words: tuple[Any, ...]) -> None:
        if isinstance(failure.value, ImError) and failure.value.code is ErrorCode.UNAVAILABLE:
            self._unsaid.append(words)
            self._again.later()
