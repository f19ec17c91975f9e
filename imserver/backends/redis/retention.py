"""Forgetting: old messages and calls, and the places where they were listed.

Client ids and changes go by themselves, by the times to live of their keys. Messages are cut at
one number, the floor, which is moved first: whoever reads trims the list that is read. What nobody
reads is trimmed here, in slices between which Redis does other things. Any node may do it, also two.
"""

from __future__ import annotations

from imserver.backends.redis.core import Core
from imserver.backends.redis.scripts import Script, lua

BUCKETS = 16
LISTS = 100
CALLS = 500

FLOOR = Script("floor", *lua("lists", "floor"))
SWEEP = Script("sweep", *lua("lists", "sweep"))
TRIM_LISTS = Script("trim_lists", *lua("lists", "trim_lists"))
TRIM_CALLS = Script("trim_calls", *lua("trim_calls"))
TRIM_CHANGES = Script("trim_changes", *lua("lists", "trim_changes"))

_LISTS = ("ib:*", "cv:*", "gv:*")


class Retention:
    """Trims the store."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._running = False

    async def trim(self, now: float) -> None:
        """Forgets what is too old at `now` (float seconds); does nothing if it is at it already.

        Raises:
            ImError: UNAVAILABLE while Redis is away; the next call goes on.
        """
        if self._running:
            return
        self._running = True
        try:
            await self._trim(now)
        finally:
            self._running = False

    async def _trim(self, now: float) -> None:
        redis, settings = self._core.redis, self._core.settings
        await redis.script(TRIM_CHANGES)
        if settings.retention_seconds <= 0:
            return
        # Answers to retries are read from the messages.
        cutoff = now - max(settings.retention_seconds, settings.dedupe_seconds)
        floor, swept = await redis.script(FLOOR, (), (int(cutoff // 3600),))
        while await redis.script(TRIM_CALLS, (), (repr(cutoff), CALLS)):
            pass
        if floor <= 1 or swept * 128 >= floor - 128:
            # Less than a bucket: the next time.
            await redis.script(SWEEP, (), (BUCKETS,))
            return
        for pattern in _LISTS:
            await self._trim_lists(pattern)
        while await redis.script(SWEEP, (), (BUCKETS,)):
            pass

    async def _trim_lists(self, pattern: str) -> None:
        redis = self._core.redis
        # A prefix has no characters with a meaning in patterns but the dot, which has none.
        cursor = b"0"
        while True:
            cursor, keys = await redis.call(
                "SCAN", cursor, "MATCH", redis.prefix + pattern, "COUNT", LISTS, "TYPE", "list"
            )
            if keys:
                names = [key[len(redis.prefix) :] for key in keys]
                await redis.script(TRIM_LISTS, (), names)
            if cursor == b"0":
                return
