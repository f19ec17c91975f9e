"""Where the SQLite file lives, who may open it, and how connections are made."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Protocol

from imserver.backends.common.data_directory import DataDirectoryError, DirectoryLock
from imserver.backends.embedded.schema import ForeignDatabaseError, NewerSchemaError, check, migrate

DATABASE_NAME = "imserver.db"


class Database(Protocol):
    """Connections to one database."""

    def open(self) -> None:
        """Locks, creates or migrates. Raises DataDirectoryError."""

    def writer(self) -> sqlite3.Connection:
        """The connection of the one writer."""

    def reader(self) -> sqlite3.Connection:
        """A connection for point look-ups on the reactor thread."""

    def borrow(self) -> sqlite3.Connection:
        """A connection for a page read, on any thread; give it back."""

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Returns a borrowed connection."""

    def close(self) -> None:
        """Closes every connection and lets go of the lock."""


def connect(path: str | Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode with this engine's settings, usable from any one thread at a time."""
    if read_only:
        uri = Path(path).resolve().as_uri() + "?mode=ro"
        connection = sqlite3.connect(uri, isolation_level=None, check_same_thread=False, uri=True)
    else:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 10000")
    return connection


class FileDatabase:
    """A data directory of its own: `imserver.db` and a lock that only one process holds."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / DATABASE_NAME
        self._lock = DirectoryLock(directory)
        self._connections: list[sqlite3.Connection] = []
        self._idle: list[sqlite3.Connection] = []
        self._lent: set[sqlite3.Connection] = set()
        self._pool = threading.Lock()
        self._closed = False

    def open(self) -> None:
        """Locks the directory, creates what is missing (directory 0700, files 0600) and migrates."""
        self._closed = False
        self._lock.take()
        try:
            self._prepare()
        except DataDirectoryError:
            self.close()
            raise
        except NewerSchemaError as error:
            self.close()
            raise DataDirectoryError(f"{self.path} was written by a newer version: {error}") from error
        except ForeignDatabaseError as error:
            self.close()
            raise DataDirectoryError(f"{self.path} is not a database of this server") from error
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise DataDirectoryError(f"{self.path} cannot be used: {error}") from error

    def _prepare(self) -> None:
        # SQLite gives its side files the mode of the database file.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = self._connect()
        check(connection)
        # Only possible before the first table exists; ignored by SQLite afterwards.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise DataDirectoryError(f"{self.path}: the file system does not support write-ahead logging")
        migrate(connection)
        # Reads every schema page: a damaged file shows here and not at the first message.
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone()  # noqa: S608

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self.path)
        self._connections.append(connection)
        return connection

    def writer(self) -> sqlite3.Connection:
        """The writer's connection: every COMMIT is synced to the disk."""
        connection = self._connect()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -32768")
        # A statement of many rows keeps the pages as they were before it: in memory, not in a file each time.
        connection.execute("PRAGMA temp_store = MEMORY")
        # A checkpoint holds up the commit that begins it: many short ones, rather than a few long ones. (In
        # pages; SQLite's own 1000 take up to 20 ms where indexes are being written.)
        connection.execute("PRAGMA wal_autocheckpoint = 250")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        return connection

    def reader(self) -> sqlite3.Connection:
        """A connection that cannot write."""
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -8192")
        return connection

    def borrow(self) -> sqlite3.Connection:
        """One of a few readers; more are made as threads ask at the same time."""
        with self._pool:
            if self._closed:
                raise sqlite3.ProgrammingError("the database was closed")
            connection = self._idle.pop() if self._idle else self.reader()
            self._lent.add(connection)
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Keeps it for the next page."""
        with self._pool:
            self._lent.discard(connection)
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)

    def close(self) -> None:
        """Closes every connection; the last one checkpoints.

        One that a thread is reading with is closed when it is given back: SQLite
        does not survive it otherwise.
        """
        with self._pool:
            self._closed = True
            while self._connections:
                connection = self._connections.pop()
                if connection not in self._lent:
                    connection.close()
            self._idle.clear()
        self._lock.let_go()


class MemoryDatabase:
    """A database in memory behind one connection, for tests and the simulation.

    It outlives the engines opened over it, so a test can let one "crash" and
    open the next. Only for committers that run a transaction in one call.
    """

    def __init__(self) -> None:
        self.connection = connect(":memory:")
        self.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        migrate(self.connection)

    def open(self) -> None:
        """Undoes what a crash left unfinished."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def writer(self) -> sqlite3.Connection:
        """The one connection."""
        return self.connection

    def reader(self) -> sqlite3.Connection:
        """The one connection."""
        return self.connection

    def borrow(self) -> sqlite3.Connection:
        """The one connection."""
        return self.connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Keeps the content; it dies with this object."""
