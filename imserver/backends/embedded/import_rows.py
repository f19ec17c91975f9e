"""Rows of the log, the indexes and the client ids on their way into an empty database."""

from __future__ import annotations

import sqlite3
from array import array

from imserver.backends.embedded.client_ids import INSERT_CLIENT_IDS, Parts
from imserver.backends.embedded.log_packing import rows_of
from imserver.backends.embedded.log_rows import INSERT_LOG
from imserver.backends.embedded.records import pack_offsets
from imserver.backends.embedded.tails import CHUNK

LOG_BYTES = 64 * 1024
"""Of records that are written at a time."""
MOST_ENTRIES = 2_000_000
"""Of the two big indexes, kept in memory until they are written."""
IDS_AT_ONCE = 20_000
"""Hashes of client ids, likewise."""
_INDEX = "INSERT INTO {} VALUES (?, ?, ?, ?)"


class LogRows:
    """Records on their way to the disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[int, bytes]] = []
        self._size = 0

    def add(self, offset: int, body: bytes) -> None:
        """The record at an offset, which grows."""
        self._waiting.append((offset, body))
        self._size += len(body)
        if self._size >= LOG_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        INSERT_LOG(self._connection, rows_of(self._waiting))
        self._waiting.clear()
        self._size = 0


class IndexRows:
    """One of the big indexes on its way to the disk."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._connection = connection
        self._sql = _INDEX.format(table)
        self._rows: dict[int, tuple[int, array[int]]] = {}
        self._entries = 0
        self.last: dict[int, int] = {}

    def add(self, no: int, number: int, offset: int) -> None:
        """`number` of the user or conversation is in the row at `offset`."""
        found = self._rows.get(no)
        if found is None:
            self._rows[no] = (number, array("Q", [offset]))
        else:
            found[1].append(offset)
            if len(found[1]) >= CHUNK:
                self._write(no, *self._rows.pop(no))
        self.last[no] = number
        self._entries += 1
        if self._entries >= MOST_ENTRIES:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        for no, (first, offsets) in self._rows.items():
            self._write(no, first, offsets)
        self._rows.clear()
        self._entries = 0

    def head(self, no: int, head: int, floor: int) -> None:
        """Nothing is kept of the numbers up to `head`, from which they go on."""
        if head and no not in self.last:
            self._write(no, head, array("Q", [max(floor - 1, 1)]))

    def _write(self, no: int, first: int, offsets: array[int]) -> None:
        self._connection.execute(self._sql, (no, first, offsets[-1], pack_offsets(list(offsets))))


class ClientIdRows:
    """Hashes of client ids on their way to the disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: dict[int, list[tuple[int, int]]] = {}
        self._count = 0

    def add(self, bucket: int, hashed: int, offset: int) -> None:
        """The log row at `offset` has the client id; its bucket: see `dedupe`."""
        self._waiting.setdefault(bucket, []).append((hashed, offset))
        self._count += 1
        if self._count >= IDS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        for bucket, pairs in self._waiting.items():
            hashes, offsets = [hashed for hashed, _ in pairs], [offset for _, offset in pairs]
            parts = Parts()
            parts.add(hashes, offsets)
            INSERT_CLIENT_IDS(self._connection, [*parts.rows(bucket, min(offsets))])
        self._waiting.clear()
        self._count = 0
