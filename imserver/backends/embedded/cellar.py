"""The cellar: opens one database and gives store, directory and bus over it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from imserver.backends.common.data_directory import DataDirectoryError
from imserver.backends.embedded.backup import backup
from imserver.backends.embedded.broadcasts import Broadcasts
from imserver.backends.embedded.bus import LocalBus
from imserver.backends.embedded.calls import Calls
from imserver.backends.embedded.committer import Committer
from imserver.backends.embedded.compaction import Compactor
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.database import Database, FileDatabase
from imserver.backends.embedded.devices import Devices
from imserver.backends.embedded.directory import EmbeddedDirectory
from imserver.backends.embedded.files import Files
from imserver.backends.embedded.indexing import Indexer
from imserver.backends.embedded.retention import Retention
from imserver.backends.embedded.settings import EngineSettings, Failpoints, NoFailpoints
from imserver.backends.embedded.store import EmbeddedStore
from imserver.model.errors import ImError
from imserver.services.ports import Threads


class EmbeddedCellar:
    """Store, directory and bus of one node over one SQLite file.

    Args:
        database: a data directory, or a `Database`.
        committer: whose thread writes; see `committer.ThreadCommitter`.
        threads: where pages are read.
        clock: the reactor, or a test's clock.
        wall: the time of day, float seconds.
        random_bytes: source of the inbox epoch.
        node: this node's number, 0 to 65535; part of every message id.
        settings: may be changed while the engine runs.
        failpoints: for tests.

    Attributes:
        store, directory, bus, files: the ports; usable between `open` and `close`.
    """

    _log = Logger()

    def __init__(
        self,
        database: Database | Path,
        committer: Committer,
        threads: Threads,
        clock: IReactorTime,
        wall: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        *,
        node: int = 0,
        settings: EngineSettings | None = None,
        failpoints: Failpoints | None = None,
    ) -> None:
        if isinstance(database, Path):
            database = FileDatabase(database)
        self.settings = settings if settings is not None else EngineSettings()
        self._random_bytes = random_bytes
        self._failpoints = failpoints if failpoints is not None else NoFailpoints()
        self.core = Core(database, committer, threads, clock, wall, node, self.settings, self._failpoints)
        self.indexer = Indexer(self.core)
        self._compactor = Compactor(self.core)
        self._retention = Retention(self.core, self.indexer)
        self._devices = Devices(self.core)
        self._broadcasts = Broadcasts(self.core)
        self._calls = Calls(self.core)
        self.store = EmbeddedStore(self.core, self._devices, self._broadcasts, self._calls)
        self.directory = EmbeddedDirectory(self.core)
        self.files = Files(self.core)
        self.bus = LocalBus()
        self._tick_call: IDelayedCall | None = None
        self.core.on_reloaded.append(self._read_filters)
        self._open = False

    def open(self) -> None:
        """Locks, migrates, reads the memory and starts the writer.

        Raises:
            DataDirectoryError: in use by another process, damaged, foreign, or of a newer version.
        """
        database = self.core.database
        database.open()
        try:
            writer = database.writer()
            self.core.epoch = self._epoch(writer)
            self.core.start(writer)
        except (sqlite3.Error, ValueError, TypeError) as error:
            database.close()
            raise DataDirectoryError(
                f"the message store cannot be read, it may be damaged: {error}"
            ) from error
        self._open = True
        self._broadcasts.start()
        self._calls.start()
        self._read_filters()
        self._tick_call = self.core.clock.callLater(self.settings.tick_seconds, self._tick)

    def _epoch(self, writer: sqlite3.Connection) -> str:
        """The epoch; a new one for a new store and for a restored backup."""
        meta = dict(writer.execute("SELECT key, value FROM meta WHERE key IN ('epoch', 'restored')"))
        epoch = meta.get("epoch", "")
        if not epoch or "restored" in meta:
            epoch = self._random_bytes(8).hex()
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (epoch,))
            writer.execute("DELETE FROM meta WHERE key = 'restored'")
            writer.execute("COMMIT")
        return str(epoch)

    def _read_filters(self) -> None:
        """At the start, and when the memory was lost with a commit."""
        if self._open:
            ensureDeferred(self.indexer.read_filters()).addErrback(self._without_filters)

    def _without_filters(self, reason: object) -> None:
        # Correct without them, only slower.
        self._log.warn("the dedupe filters could not be read: {reason}", reason=reason)

    def _tick(self) -> None:
        self._tick_call = self.core.clock.callLater(self.settings.tick_seconds, self._tick)
        try:
            self._persist()
            self._calls.tick()
            self.indexer.tick()
            self._compactor.tick()
        except ImError:
            # The disk fails; the next tick tries again.
            pass

    def _persist(self, *, everything: bool = False) -> None:
        self.core.check_writable()
        self._devices.persist(everything=everything)
        self.directory.persist(everything=everything)

    async def trim(self, now: float) -> None:
        """Forgets what is too old at `now` (float seconds) and shrinks the file; called from time to time.

        Raises:
            ImError: UNAVAILABLE if the disk failed; the next call goes on.
        """
        await self._retention.trim(now)

    async def backup(self, target: Path) -> None:
        """Copies the store to a new file while it goes on.

        Raises:
            OSError, sqlite3.Error: the file exists or could not be written.
        """
        await backup(self.core, target)

    async def close(self) -> None:
        """Makes everything durable, writes the indexes and lets go of the database. Idempotent."""
        if not self._open:
            return
        self._open = False
        self._broadcasts.stop()
        # What is left is written at once, or, where the disk fails, not any more.
        self._devices.stop()
        self.directory.stop()
        if self._tick_call is not None:
            self._tick_call.cancel()
            self._tick_call = None
        try:
            self._persist(everything=True)
            await self.core.journal.barrier()
            await self.indexer.flush()
        except ImError as error:
            self._log.error("the store could not be closed cleanly: {error}", error=error.text)
        self.indexer.stop()
        self._compactor.stop()
        self.core.journal.stop()
        self.core.database.close()
