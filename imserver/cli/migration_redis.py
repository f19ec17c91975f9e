"""The Redis that a migration reads or fills."""

from __future__ import annotations

import os
import time
from random import Random
from typing import Any, cast

from twisted.internet.task import deferLater

from imserver.assembly import redis_settings
from imserver.backends.common import portable
from imserver.cli.comparing import Side
from imserver.cli.errors import REFUSED, UNREACHABLE, CommandError
from imserver.config import Configuration

FORMATS = ("qdatastream", "protobuf", "signalling", "jsonline", "rest", "meeting", "files")
"""In which messages may have been sent; those that tell of files have one of their own."""
UNFINISHED = "migrating"
"""The key that is there until a migration into this Redis has come to its end."""
REACH_SECONDS = 10.0
LOOK_SECONDS = 3.0
"""A node gives a sign of life every second."""
REST_SECONDS = 600.0


class RedisEnd:
    """One end of the way.

    Args:
        place: of Redis; a `cellar.Place`.
        link: limits of the connection; a `settings.LinkSettings`.
        clock: the reactor, or a test's clock.

    Attributes:
        redis / core: what the backend works with.
        now: when the migration began; float seconds since the epoch.
    """

    def __init__(self, settings: Configuration, place: Any, link: Any, clock: Any) -> None:
        from imserver.backends.redis.core import Core
        from imserver.backends.redis.link import Redis

        self._settings = settings
        self._clock = clock
        self._place = place
        random = Random(os.urandom(16))  # noqa: S311 - it draws delays
        self.redis = Redis(place.where, place.greeting, clock, time.monotonic, random, link, place.prefix)
        self.core = Core(self.redis, clock, time.time, "migration", redis_settings(settings))
        self.now = time.time()

    async def reach(self) -> None:
        """Connects. Raises CommandError: it cannot, or nodes use it."""
        if self._place.sentinels is not None:
            self._place.sentinels.start()
        self.redis.start()
        waited = 0.0
        while not self.redis.connected:
            if waited >= REACH_SECONDS:
                reason = self.redis.fault or "it does not answer"
                raise CommandError(UNREACHABLE, f"Redis cannot be reached: {reason}")
            await deferLater(self._clock, 0.05)
            waited += 0.05
        await self.no_nodes()

    async def no_nodes(self) -> None:
        """Raises CommandError: nodes use it."""
        key = f"{self.redis.prefix}nodes"
        before = _pairs(await self.redis.call("HGETALL", key))
        if not before:
            return
        await deferLater(self._clock, LOOK_SECONDS)
        after = _pairs(await self.redis.call("HGETALL", key))
        live = sorted(node.decode() for node, beats in after.items() if before.get(node) != beats)
        if live:
            raise CommandError(
                REFUSED, f"nodes use this Redis: {', '.join(live)}; stop them first", "CONFLICT"
            )

    def leave(self) -> None:
        """Disconnects."""
        self.redis.stop()
        if self._place.sentinels is not None:
            self._place.sentinels.stop()

    async def rest(self) -> None:
        """What was begun comes to its end. Raises CommandError: it does not, or there is no whole store."""
        from imserver.backends.redis.broadcasts import Broadcasts
        from imserver.backends.redis.calls import Calls

        redis, prefix = self.redis, self.redis.prefix
        if await redis.call("EXISTS", prefix + UNFINISHED):
            raise CommandError(REFUSED, "a migration into this Redis has not come to its end", "CONFLICT")
        if not await redis.call("EXISTS", prefix + "epoch"):
            raise CommandError(REFUSED, f"there is no store under {prefix!r} in this Redis", "NOT_FOUND")
        broadcasts = Broadcasts(self.core)
        broadcasts.start()
        waited = 0.0
        while await redis.call("EXISTS", prefix + "bc"):
            waited = await wait(self._clock, waited)
        broadcasts.stop()
        calls = Calls(self.core, lambda: "migration:1", lambda: ())
        await calls.end_left()

    def source(self) -> portable.Source:
        """All that is there."""
        from imserver.backends.redis.exporting import RedisSource

        core = self.core.settings
        formats = (*FORMATS, *self._settings.formats)
        return RedisSource(self.redis, self.now, core.dedupe_seconds, core.change_seconds, formats)

    def side(self) -> Side:
        """For a comparison as users see it."""
        from imserver.backends.redis.broadcasts import Broadcasts
        from imserver.backends.redis.calls import Calls
        from imserver.backends.redis.devices import Devices
        from imserver.backends.redis.directory import RedisDirectory
        from imserver.backends.redis.files import Files
        from imserver.backends.redis.store import RedisStore

        core = self.core
        calls = Calls(core, lambda: "migration:1", lambda: ())
        store = RedisStore(
            core,
            cast(Any, _Still()),
            Devices(core),
            Broadcasts(core),
            calls,
            self._settings.store.timeout_seconds,
        )
        return Side(store, RedisDirectory(core), Files(core))


class _Still:
    """An epoch that nobody watches."""

    name = ""


async def wait(clock: Any, waited: float) -> float:
    """Waits a moment for what comes to its end by itself; how long it was. Raises CommandError: too long."""
    if waited > REST_SECONDS:
        raise CommandError(UNREACHABLE, "what was begun in the store does not come to its end")
    await deferLater(clock, 0.05)
    return waited + 0.05


def _pairs(reply: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(reply[::2], reply[1::2], strict=True))
