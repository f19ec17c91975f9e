"""Requests that are done once, however often they are asked: a retried id is answered again.

Sends have a law of their own, in the store (`append`); this is for what else changes something
and bears an id of the client's (document 004, §6).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import msgspec
from twisted.internet.defer import Deferred

from imserver.model.errors import ErrorCode, ImError

REMEMBERED_SECONDS = 600.0
REMEMBERED_PER_PEER = 128
"""Answers kept for one user in one format."""
REMEMBERED_BYTES = 64 * 1024 * 1024
"""Bytes of all answers kept."""
ANSWER_BYTES = 1024 * 1024
"""Longer answers are not kept."""
_OVERHEAD = 400
"""Bytes, about, that the memory itself takes for one answer."""

Peer = tuple[str, ...]
Work = Callable[[], Awaitable[Any]]


class AnswerMemory(Protocol):
    """Remembers answers over all connections and, where there are several, all nodes."""

    async def once(self, peer: Peer, retry_id: str, command: Any, work: Work) -> Any:
        """The answer to a request: the one it got before, or else what the work gives.

        A retry of what is being done waits for it. Refusals are not remembered: such a request
        is done anew.

        Args:
            peer: whose id it is: the user, the format, and for what concerns one session only, the session.
            retry_id: the id by which the request is known again.
            command: what is asked.
            work: does it.

        Raises:
            ImError: CONFLICT where something else was asked under this id; what the work raises.
        """


class _Key(NamedTuple):
    peer: Peer
    retry_id: str


class _Known:
    """A request: its digest, and its answer once there is one."""

    __slots__ = ("answer", "at", "digest", "size", "waiting")

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.answer: Any = None
        self.at = 0.0
        self.size = 0
        self.waiting: list[Deferred[Any]] | None = []


class LocalAnswerMemory:
    """The memory of one node, bounded; what was answered longest ago makes room.

    Args:
        clock: monotonic float seconds.
        total_bytes: of all answers.
    """

    def __init__(self, clock: Callable[[], float], total_bytes: int = REMEMBERED_BYTES) -> None:
        self._clock = clock
        self._total_bytes = total_bytes
        self._bytes = 0
        self._running: dict[_Key, _Known] = {}
        self._answered: OrderedDict[_Key, _Known] = OrderedDict()
        self._of_peer: dict[Peer, OrderedDict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._answered)

    async def once(self, peer: Peer, retry_id: str, command: Any, work: Work) -> Any:
        """See AnswerMemory."""
        self._forget_old()
        key = _Key(peer, retry_id)
        digest = digest_of(command)
        known = self._answered.get(key) or self._running.get(key)
        if known is not None:
            if known.digest != digest:
                raise ImError(ErrorCode.CONFLICT, "another request bore this id")
            if known.waiting is None:
                return known.answer
            done: Deferred[Any] = Deferred()
            known.waiting.append(done)
            return await done
        known = self._running[key] = _Known(digest)
        try:
            known.answer = await work()
        except BaseException as fault:
            self._end(key, known, fault)
            raise
        self._end(key, known, None)
        return known.answer

    def _end(self, key: _Key, known: _Known, fault: BaseException | None) -> None:
        """Tells those who wait, and keeps the answer."""
        del self._running[key]
        waiting, known.waiting = known.waiting or (), None
        if fault is None:
            self._keep(key, known)
        for done in waiting:
            if fault is None:
                done.callback(known.answer)
            else:
                done.errback(_same(fault))

    def _keep(self, key: _Key, known: _Known) -> None:
        size = len(msgspec.msgpack.encode(known.answer)) + _OVERHEAD
        if size > ANSWER_BYTES:
            return
        known.at, known.size = self._clock(), size
        self._answered[key] = known
        self._bytes += size
        mine = self._of_peer.setdefault(key.peer, OrderedDict())
        mine[key.retry_id] = None
        if len(mine) > REMEMBERED_PER_PEER:
            self._drop(_Key(key.peer, next(iter(mine))))
        while self._bytes > self._total_bytes:
            self._drop(next(iter(self._answered)))

    def _forget_old(self) -> None:
        before = self._clock() - REMEMBERED_SECONDS
        answered = self._answered
        while answered:
            key = next(iter(answered))
            if answered[key].at > before:
                return
            self._drop(key)

    def _drop(self, key: _Key) -> None:
        self._bytes -= self._answered.pop(key).size
        mine = self._of_peer[key.peer]
        del mine[key.retry_id]
        if not mine:
            del self._of_peer[key.peer]


def digest_of(command: Any) -> bytes:
    """What was asked, without keeping it: it may hold a group's password."""
    return hashlib.sha256(msgspec.msgpack.encode((type(command).__name__, command))).digest()


def _same(fault: BaseException) -> Exception:
    """The refusal for those who waited; another failure is logged where it happened."""
    return fault if isinstance(fault, ImError) else ImError(ErrorCode.INTERNAL, "internal error")
