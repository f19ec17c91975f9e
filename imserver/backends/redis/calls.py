"""Records of calls, and what their callees missed.

A record that has ended is never changed again, which is what makes a missed call be told once: its
change is written by the script that ends the record. What a node that is gone has left unfinished,
another one ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import blake2b

import msgspec
from msgspec import structs
from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.redis.change_log import MissedRecord
from imserver.backends.redis.core import Core
from imserver.backends.redis.scripts import Script, lua
from imserver.model.call_records import CallPage, CallRecord
from imserver.model.calls import Ending
from imserver.model.errors import ErrorCode, ImError

SIGN_SECONDS = 10.0
"""While calls last, their node writes the time this often: about as exact is the end of those that a
crash ends."""
LOOK_SECONDS = 5.0
"""How often calls of lost nodes are looked for."""

RECORD = Script("record_call", *lua("feed", "changes", "record_call"))
CALLS = Script("calls", *lua("calls"))
LASTING = Script("lasting_calls", *lua("nodes", "lasting_calls"))

_CURSOR = re.compile(r"[0-9]{1,18}")
_NEWEST = 10**15
_encode = msgspec.msgpack.Encoder().encode


class _Kept(CallRecord, array_like=True, frozen=True, gc=False):
    """A record as it is stored."""


_decode = msgspec.msgpack.Decoder(_Kept).decode


class Calls:
    """The part of `Store` that keeps records of calls.

    Args:
        identity: what this node is called now; others that find it lost end its calls.
        live: the live nodes as far as this one has heard, this one included; none while this one does
            not take part.
    """

    log = Logger()

    def __init__(self, core: Core, identity: Callable[[], str], live: Callable[[], Sequence[str]]) -> None:
        self._core = core
        self._identity = identity
        self._live = live
        self._lasting: set[bytes] = set()
        self._signed_at = float("-inf")
        self._looked_at = float("-inf")

    async def record(self, record: CallRecord) -> None:
        """See `Store.record_call`."""
        await self._record(record, known=False)

    async def _record(self, record: CallRecord, *, known: bool) -> None:
        """Args:
        known: it was recorded before, or it is nothing.
        """
        core = self._core
        identity = call_identity(record)
        missed = b""
        if record.told:
            missed = _encode(
                MissedRecord(
                    record.call,
                    record.caller,
                    record.callee,
                    record.video,
                    record.created_at,
                    record.ended_at,
                )
            )
        if record.ending is None:
            self._lasting.add(identity)
        else:
            self._lasting.discard(identity)
        reply = await core.redis.script(
            RECORD,
            (),
            (
                identity,
                record.caller,
                record.callee,
                repr(record.created_at),
                0 if record.ending is None else 1,
                int(record.withheld),
                encode_record(record),
                missed,
                int(core.settings.change_seconds),
                core.node(),
                self._identity(),
                int(known),
            ),
        )
        if reply == b"no-user":
            self._lasting.discard(identity)
            raise ImError(ErrorCode.USER_NOT_FOUND, "a call is between two accounts")

    async def calls(self, user: str, after: str, limit: int) -> CallPage:
        """See `Store.calls`."""
        before = _NEWEST
        if after:
            if _CURSOR.fullmatch(after) is None:
                raise ImError(ErrorCode.BAD_REQUEST, "the cursor was never given out")
            before = int(after)
        limit = max(limit, 1)
        reply = await self._core.redis.script(CALLS, (), (user, before, limit + 1))
        numbers = reply[::2]
        records = [record_of(stored) for stored in reply[1::2]]
        more = len(records) > limit
        return CallPage(records[:limit], str(numbers[limit - 1]) if more else "")

    # What a node that is gone has left

    def tick(self) -> None:
        """Called from time to time: gives a sign of life while there are calls, ends those of lost nodes."""
        core = self._core
        now = core.clock.seconds()
        if self._lasting and now - self._signed_at >= SIGN_SECONDS:
            self._signed_at = now
            # If it is lost, the next one comes soon enough.
            key = core.redis.prefix + "oca"
            core.redis.call("HSET", key, self._identity(), repr(core.wall())).addErrback(lambda _: None)
        if now - self._looked_at >= LOOK_SECONDS and self._live() and core.redis.connected:
            self._looked_at = now
            ensureDeferred(self._look()).addErrback(self._not_ended)

    async def end_left(self) -> None:
        """Ends all calls that last: there are no nodes, whatever is still listed of them."""
        for node, known in await self._signs():
            await self._end_of(node, known, alone=True)

    async def _look(self) -> None:
        """Ends the calls of nodes that are lost."""
        for node, known in await self._signs():
            live = self._live()
            if live and node not in live:
                await self._end_of(node, known)

    async def _signs(self) -> list[tuple[str, float]]:
        """The nodes at which calls may last, and until when each is known to have been there."""
        redis = self._core.redis
        found = await redis.call("HGETALL", redis.prefix + "oca")
        return [(node.decode(), float(known)) for node, known in zip(found[::2], found[1::2], strict=True)]

    async def _end_of(self, node: str, known: float, *, alone: bool = False) -> None:
        """Ends the calls of a node of which nothing is known after `known`, if it is lost.

        Args:
            alone: it is lost, though it may be listed.
        """
        for stored in await self._core.redis.script(LASTING, (), (node, int(alone))):
            record = record_of(stored)
            ended_at = max(min(known, self._core.wall()), record.answered_at, record.created_at)
            ended = structs.replace(record, ended_at=ended_at, ending=Ending.SHUTDOWN)
            await self._record(ended, known=True)

    def _not_ended(self, failure: Failure) -> None:
        if failure.check(ImError) is None:
            self.log.failure("calls of a node that is lost could not be ended", failure=failure)


def call_identity(record: CallRecord) -> bytes:
    """By what a call is known."""
    name = f"{record.call}\0{record.caller}\0{record.created_at!r}".encode()
    return blake2b(name, digest_size=16).digest()


def encode_record(record: CallRecord) -> bytes:
    """A record as it is stored."""
    return _encode(_Kept(*structs.astuple(record)))


def record_of(stored: bytes) -> CallRecord:
    """The reverse."""
    return CallRecord(*structs.astuple(_decode(stored)))
