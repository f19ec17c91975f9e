"""Carries a store from SQLite to Redis or back, and compares the two."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, cast

from msgspec import Struct
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from imserver.assembly import engine_settings, files_directory, redis_settings
from imserver.backends.common import portable
from imserver.backends.common.data_directory import DataDirectoryError, DirectoryLock
from imserver.backends.embedded import EmbeddedCellar
from imserver.backends.embedded.database import DATABASE_NAME, FileDatabase, connect
from imserver.backends.embedded.exporting import SqliteSource
from imserver.backends.embedded.importing import SqliteTarget
from imserver.backends.embedded.memory import deterministic_cellar
from imserver.backends.embedded.verify import verify
from imserver.backends.files.disk import blob_path
from imserver.cli.comparing import Comparison, Side, Sums, lines
from imserver.cli.errors import REFUSED, UNREACHABLE, CommandError
from imserver.config import Configuration
from imserver.model.errors import ImError
from imserver.services.file_ports import State, Transfer

Tell = Callable[[str, int, int], None]

FORMATS = ("qdatastream", "protobuf", "signalling", "jsonline", "rest", "meeting", "files")
"""In which messages may have been sent; those that tell of files have one of their own."""
UNFINISHED = "migrating"
REACH_SECONDS = 10.0
LOOK_SECONDS = 3.0
"""A node gives a sign of life every second."""
REST_SECONDS = 600.0
SPARE_SECONDS = 60.0
"""What is over so soon is not carried."""


class Result(Struct, frozen=True):
    """What was carried, how many rows were compared, and of how many stored files the bytes are not there."""

    users: int
    groups: int
    messages: int
    deliveries: int
    changes: int
    calls: int
    files: int
    bytes_missing: int
    compared: int
    faults: list[str]


class Migration:
    """One way or the other.

    Args:
        place: of Redis; a `cellar.Place`.
        link: limits of the connection; a `settings.LinkSettings`.
        clock: the reactor, or a test's clock.
        tell: told what is being done, how far it is, and the whole.
    """

    def __init__(
        self, data: Path, settings: Configuration, place: Any, link: Any, clock: Any, tell: Tell
    ) -> None:
        from imserver.backends.redis.core import Core
        from imserver.backends.redis.link import Redis

        self._data = data
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._place = place
        random = Random(os.urandom(16))  # noqa: S311 - it draws delays
        self._redis = Redis(place.where, place.greeting, clock, time.monotonic, random, link, place.prefix)
        self._now = time.time()
        self._core = Core(self._redis, clock, time.time, "migration", redis_settings(settings))
        self._untold: set[int] = set()
        self._groups: dict[str, list[str]] = {}
        self._files = files_directory(settings, data)
        self._missing: set[str] = set()

    async def to_redis(self) -> Result:
        """SQLite to Redis. Raises CommandError."""
        if not (self._data / DATABASE_NAME).is_file():
            raise CommandError(UNREACHABLE, f"{self._data / DATABASE_NAME}: there is no such database")
        cellar = self._cellar(self._data)
        try:
            cellar.open()
        except DataDirectoryError as error:
            raise CommandError(UNREACHABLE, str(error)) from None
        try:
            await self._rest(cellar)
            await self._reach()
            return await self._copy_to_redis(cellar)
        except (ImError, sqlite3.Error) as error:
            raise self._broken(error) from None
        finally:
            self._leave()
            await cellar.close()

    async def to_sqlite(self) -> Result:
        """Redis to SQLite. Raises CommandError."""
        lock = DirectoryLock(self._data)
        try:
            lock.take()
        except DataDirectoryError as error:
            raise CommandError(UNREACHABLE, str(error)) from None
        try:
            if (self._data / DATABASE_NAME).exists():
                raise CommandError(REFUSED, f"{self._data / DATABASE_NAME}: exists already", "CONFLICT")
            await self._reach()
            await self._rest_redis()
            return await self._copy_to_sqlite()
        except (ImError, sqlite3.Error) as error:
            raise self._broken(error) from None
        except OSError as error:
            raise CommandError(UNREACHABLE, f"{error.filename or self._data}: {error.strerror}") from None
        finally:
            self._leave()
            lock.let_go()

    def _broken(self, error: Exception) -> CommandError:
        if isinstance(error, ImError):
            reason = f" ({self._redis.fault})" if self._redis.fault else ""
            return CommandError(UNREACHABLE, f"Redis: {error.text}{reason}")
        return CommandError(UNREACHABLE, f"{self._data}: {error}")

    # The two stores

    def _cellar(self, folder: Path) -> EmbeddedCellar:
        return deterministic_cellar(
            self._clock,
            database=FileDatabase(folder),
            settings=engine_settings(self._settings),
            wall=time.time,
            random_bytes=os.urandom,
        )

    async def _rest(self, cellar: EmbeddedCellar) -> None:
        """What was begun comes to its end, and everything is written."""
        reader = cellar.core.reader
        waited = 0.0
        while reader.execute(
            "SELECT 1 FROM broadcasts WHERE NOT done UNION SELECT 1 FROM calls WHERE ending IS NULL"
        ).fetchone():
            waited = await self._wait(waited)
        await cellar.core.journal.barrier()
        await cellar.indexer.flush()

    async def _wait(self, waited: float) -> float:
        if waited > REST_SECONDS:
            raise CommandError(UNREACHABLE, "what was begun in the store does not come to its end")
        await deferLater(self._clock, 0.05)
        return waited + 0.05

    async def _reach(self) -> None:
        """Connects. Raises CommandError: it cannot, or nodes use it."""
        if self._place.sentinels is not None:
            self._place.sentinels.start()
        self._redis.start()
        waited = 0.0
        while not self._redis.connected:
            if waited >= REACH_SECONDS:
                reason = self._redis.fault or "it does not answer"
                raise CommandError(UNREACHABLE, f"Redis cannot be reached: {reason}")
            await deferLater(self._clock, 0.05)
            waited += 0.05
        await self._no_nodes()

    async def _no_nodes(self) -> None:
        key = f"{self._redis.prefix}nodes"
        before = _pairs(await self._redis.call("HGETALL", key))
        if not before:
            return
        await deferLater(self._clock, LOOK_SECONDS)
        after = _pairs(await self._redis.call("HGETALL", key))
        live = sorted(node.decode() for node, beats in after.items() if before.get(node) != beats)
        if live:
            raise CommandError(
                REFUSED, f"nodes use this Redis: {', '.join(live)}; stop them first", "CONFLICT"
            )

    def _leave(self) -> None:
        self._redis.stop()
        if self._place.sentinels is not None:
            self._place.sentinels.stop()

    async def _rest_redis(self) -> None:
        """As `_rest`, for Redis."""
        from imserver.backends.redis.broadcasts import Broadcasts
        from imserver.backends.redis.calls import Calls

        redis, prefix = self._redis, self._redis.prefix
        if await redis.call("EXISTS", prefix + UNFINISHED):
            raise CommandError(REFUSED, "a migration into this Redis has not come to its end", "CONFLICT")
        if not await redis.call("EXISTS", prefix + "epoch"):
            raise CommandError(REFUSED, f"there is no store under {prefix!r} in this Redis", "NOT_FOUND")
        broadcasts = Broadcasts(self._core)
        broadcasts.start()
        waited = 0.0
        while await redis.call("EXISTS", prefix + "bc"):
            waited = await self._wait(waited)
        broadcasts.stop()
        calls = Calls(self._core, lambda: "migration:1", lambda: ("migration:1",))
        await calls.end_left()

    def _redis_source(self) -> portable.Source:
        from imserver.backends.redis.exporting import RedisSource

        core = self._core.settings
        formats = (*FORMATS, *self._settings.formats)
        return RedisSource(self._redis, self._now, core.dedupe_seconds, core.change_seconds, formats)

    def _redis_side(self) -> Side:
        from imserver.backends.redis.broadcasts import Broadcasts
        from imserver.backends.redis.calls import Calls
        from imserver.backends.redis.devices import Devices
        from imserver.backends.redis.directory import RedisDirectory
        from imserver.backends.redis.files import Files
        from imserver.backends.redis.store import RedisStore

        core = self._core
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

    # Copying

    async def _copy_to_redis(self, cellar: EmbeddedCellar) -> Result:
        from imserver.backends.redis.importing import RedisTarget, clear, keys_there

        redis, key = self._redis, self._redis.prefix + UNFINISHED
        if await redis.call("EXISTS", key):
            self._tell("clearing", 0, 0)
            await clear(redis)
        elif await keys_there(redis):
            raise CommandError(
                REFUSED, f"Redis has something under the prefix {redis.prefix!r} already", "CONFLICT"
            )
        await redis.call("SET", key, repr(self._now))
        settings = self._core.settings
        with closing(connect(self._data / DATABASE_NAME, read_only=True)) as connection:
            connection.execute("BEGIN")
            (total,) = connection.execute("SELECT count(*) FROM log").fetchone()
            target = RedisTarget(redis, self._now, settings.dedupe_seconds, settings.change_seconds)
            put = await self._copy(SqliteSource(connection), target, total)
        faults = put.differences(await self._sums(self._redis_source(), total))
        result = await self._compare(
            Side(cellar.store, cellar.directory, cellar.files), self._redis_side(), put, faults
        )
        if not result.faults:
            await redis.call("DEL", key)
        return result

    async def _copy_to_sqlite(self) -> Result:
        folder = self._data / UNFINISHED
        shutil.rmtree(folder, ignore_errors=True)
        total = int(await self._redis.call("HGET", f"{self._redis.prefix}log", "no") or 0)
        database = FileDatabase(folder)
        database.open()
        try:
            writer = database.writer()
            put = await self._copy(self._redis_source(), SqliteTarget(writer), total)
            faults = put.differences(await self._sums(SqliteSource(writer), total))
        finally:
            database.close()
        cellar = self._cellar(folder)
        cellar.open()
        try:
            side = Side(cellar.store, cellar.directory, cellar.files)
            result = await self._compare(self._redis_side(), side, put, faults)
        finally:
            await cellar.close()
        # The bytes of files are not in this folder.
        result.faults.extend(verify(folder / DATABASE_NAME))
        await self._no_nodes()
        if not result.faults:
            with closing(connect(folder / DATABASE_NAME)) as connection:
                # All of it is in the one file.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            _move(folder / DATABASE_NAME, self._data / DATABASE_NAME)
            shutil.rmtree(folder, ignore_errors=True)
        return result

    async def _copy(self, source: portable.Source, target: portable.Target, total: int) -> Sums:
        sums, done = Sums(), 0
        oldest = self._now - self._core.settings.change_seconds + SPARE_SECONDS
        async for thing in source.everything():
            if isinstance(thing, portable.ChangeRow) and thing.at < oldest:
                self._untold.add(thing.number)
                continue
            if isinstance(thing, portable.Team):
                for user in sorted({user for user, _, _ in thing.intervals}):
                    self._groups.setdefault(user, []).append(thing.group)
            if isinstance(thing, portable.Sent):
                self._look_for_bytes(thing.transfer)
            await target.put(thing)
            sums.add(thing)
            done += isinstance(thing, portable.Letter | portable.Copies)
            if done % 1000 == 0:
                self._tell("copying", done, total)
                await self._breathe()
        await target.finish()
        return sums

    def _look_for_bytes(self, transfer: Transfer) -> None:
        """They are not copied; who migrates is told what the new servers would not find."""
        if transfer.state is not State.STORED:
            return
        try:
            found = blob_path(self._files, transfer.sha256).stat().st_size
        except OSError:
            found = -1
        if found != transfer.size:
            self._missing.add(transfer.sha256)

    async def _breathe(self) -> None:
        """Lets the connections be served."""
        await deferLater(self._clock, 0.0)

    async def _sums(self, source: portable.Source, total: int) -> Sums:
        sums, done = Sums(), 0
        async for thing in source.everything():
            if isinstance(thing, portable.ChangeRow) and thing.number in self._untold:
                continue
            sums.add(thing)
            done += isinstance(thing, portable.Letter | portable.Copies)
            if done % 1000 == 0:
                self._tell("reading again", done, total)
                await self._breathe()
        return sums

    async def _compare(self, one: Side, other: Side, put: Sums, faults: list[str]) -> Result:
        users = put.counts.get("Person", 0)
        comparison = Comparison(one, other, self._groups, self._untold)
        await comparison.run(lambda done: self._tell("comparing", done, users))
        counts = put.counts
        return Result(
            users,
            counts.get("Team", 0),
            counts.get("Letter", 0),
            put.deliveries,
            counts.get("ChangeRow", 0),
            counts.get("Call", 0),
            counts.get("Sent", 0),
            len(self._missing),
            comparison.rows // 2,
            lines([*faults, *comparison.faults]),
        )


class _Still:
    """An epoch that nobody watches."""

    name = ""


def _pairs(reply: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _move(source: Path, target: Path) -> None:
    """Durably."""
    os.rename(source, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def run(make: Callable[[Any], Any]) -> Any:
    """Runs `make(reactor)` to its end in a reactor of this process; its result, or what it raises."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    outcome: list[Any] = []

    def begin() -> None:
        running: Deferred[Any] = ensureDeferred(make(reactor))
        running.addBoth(outcome.append)
        running.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not outcome:
        raise KeyboardInterrupt
    (result,) = outcome
    if isinstance(result, Failure):
        result.raiseException()
    return result
