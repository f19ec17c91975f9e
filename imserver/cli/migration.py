"""Carries a store from SQLite to Redis or back, and compares the two."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from imserver.assembly import engine_settings, files_directory
from imserver.backends.common import portable
from imserver.backends.common.data_directory import DataDirectoryError, DirectoryLock
from imserver.backends.embedded import EmbeddedCellar
from imserver.backends.embedded.database import DATABASE_NAME, FileDatabase, connect
from imserver.backends.embedded.exporting import SqliteSource
from imserver.backends.embedded.importing import SqliteTarget
from imserver.backends.embedded.log_rows import last_offset
from imserver.backends.embedded.memory import deterministic_cellar
from imserver.backends.embedded.verify import verify
from imserver.backends.files.disk import blob_path
from imserver.cli.comparing import Comparison, Side, Sums, lines
from imserver.cli.errors import REFUSED, UNREACHABLE, CommandError
from imserver.cli.migration_redis import UNFINISHED, RedisEnd, wait
from imserver.config import Configuration
from imserver.model.errors import ImError
from imserver.services.file_ports import State, Transfer

Tell = Callable[[str, int, int], None]

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
        self._data = data
        self._settings = settings
        self._clock = clock
        self._tell = tell
        self._end = RedisEnd(settings, place, link, clock)
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
            await self._end.reach()
            return await self._copy_to_redis(cellar)
        except (ImError, sqlite3.Error) as error:
            raise self._broken(error) from None
        finally:
            self._end.leave()
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
            await self._end.reach()
            await self._end.rest()
            return await self._copy_to_sqlite()
        except (ImError, sqlite3.Error) as error:
            raise self._broken(error) from None
        except OSError as error:
            raise CommandError(UNREACHABLE, f"{error.filename or self._data}: {error.strerror}") from None
        finally:
            self._end.leave()
            lock.let_go()

    def _broken(self, error: Exception) -> CommandError:
        if isinstance(error, ImError):
            reason = f" ({self._end.redis.fault})" if self._end.redis.fault else ""
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
            waited = await wait(self._clock, waited)
        await cellar.core.journal.barrier()
        await cellar.indexer.flush()

    # Copying

    async def _copy_to_redis(self, cellar: EmbeddedCellar) -> Result:
        from imserver.backends.redis.importing import RedisTarget, clear, keys_there

        redis, key = self._end.redis, self._end.redis.prefix + UNFINISHED
        if await redis.call("EXISTS", key):
            self._tell("clearing", 0, 0)
            await clear(redis)
        elif await keys_there(redis):
            raise CommandError(
                REFUSED, f"Redis has something under the prefix {redis.prefix!r} already", "CONFLICT"
            )
        await redis.call("SET", key, repr(self._end.now))
        settings = self._end.core.settings
        with closing(connect(self._data / DATABASE_NAME, read_only=True)) as connection:
            connection.execute("BEGIN")
            floor = connection.execute("SELECT value FROM meta WHERE key = 'floor'").fetchone()
            total = last_offset(connection) - (floor[0] - 1 if floor else 0)
            target = RedisTarget(redis, self._end.now, settings.dedupe_seconds, settings.change_seconds)
            put = await self._copy(SqliteSource(connection), target, total)
        faults = put.differences(await self._sums(self._end.source(), total))
        result = await self._compare(
            Side(cellar.store, cellar.directory, cellar.files), self._end.side(), put, faults
        )
        if not result.faults:
            await redis.call("DEL", key)
        return result

    async def _copy_to_sqlite(self) -> Result:
        folder = self._data / UNFINISHED
        shutil.rmtree(folder, ignore_errors=True)
        total = int(await self._end.redis.call("HGET", f"{self._end.redis.prefix}log", "no") or 0)
        database = FileDatabase(folder)
        database.open()
        try:
            writer = database.writer()
            put = await self._copy(self._end.source(), SqliteTarget(writer), total)
            faults = put.differences(await self._sums(SqliteSource(writer), total))
        finally:
            database.close()
        cellar = self._cellar(folder)
        cellar.open()
        try:
            side = Side(cellar.store, cellar.directory, cellar.files)
            result = await self._compare(self._end.side(), side, put, faults)
        finally:
            await cellar.close()
        # The bytes of files are not in this folder.
        result.faults.extend(verify(folder / DATABASE_NAME))
        await self._end.no_nodes()
        if not result.faults:
            with closing(connect(folder / DATABASE_NAME)) as connection:
                # All of it is in the one file.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            _move(folder / DATABASE_NAME, self._data / DATABASE_NAME)
            shutil.rmtree(folder, ignore_errors=True)
        return result

    async def _copy(self, source: portable.Source, target: portable.Target, total: int) -> Sums:
        sums, done = Sums(), 0
        oldest = self._end.now - self._end.core.settings.change_seconds + SPARE_SECONDS
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
