"""The log's rows: what was committed together shares a row of the table, as far as that fits into a page.

A row is a record (records.py) by itself, or `[2, record, record, ...]` in MessagePack: those of the row's
offset and the ones that follow it. Rows cost the writer several times as much as the bytes in them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from imserver.backends.embedded.bulk import Insert

ROW_BYTES = 1300
"""Of records that share a row: three rows fit into a page of 4 KiB, so little of the last stays empty."""

INSERT_LOG = Insert("INSERT INTO log", 2)
_SEVERAL = b"\x02"
"""In the place where a record has its tag."""
_LIST = b"\xdc"
_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_UP_TO = "SELECT offset, body FROM log WHERE offset <= ? ORDER BY offset DESC"
_FROM = "SELECT offset, body FROM log WHERE offset >= ? ORDER BY offset"

Body = bytes | msgspec.Raw
"""A record as bytes."""


def rows_of(first: int, bodies: Sequence[Body]) -> Iterator[tuple[int, bytes]]:
    """Rows for the records of the offsets `first`, `first` + 1, ..."""
    start = size = 0
    for index, body in enumerate(bodies):
        size += len(body)
        if size > ROW_BYTES and index > start:
            yield first + start, _joined(bodies[start:index])
            start, size = index, len(body)
    if start < len(bodies):
        yield first + start, _joined(bodies[start:])


def _joined(bodies: Sequence[Body]) -> bytes:
    if len(bodies) == 1:
        return bytes(bodies[0])
    return b"".join((_LIST, (len(bodies) + 1).to_bytes(2, "big"), _SEVERAL, *bodies))


def bodies_of(row: bytes) -> Sequence[Body]:
    """The records of a row. Raises msgspec.MsgspecError."""
    if row[:1] == _LIST and row[3:4] == _SEVERAL:
        return _split(row)[1:]
    return (row,)


class LogReader:
    """Looks records up, for as long as nothing changes: within one transaction.

    Whoever reads what was written together reads the same row again and again.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._first = 0
        self._bodies: Sequence[Body] = ()

    def body(self, offset: int) -> Body | None:
        """The record at an offset, None if there is none. Raises sqlite3.Error, msgspec.MsgspecError."""
        place = offset - self._first
        if not 0 <= place < len(self._bodies):
            found = self._connection.execute(f"{_UP_TO} LIMIT 1", (offset,)).fetchone()
            if found is None:
                return None
            self._first, self._bodies = found[0], bodies_of(found[1])
            place = offset - self._first
            if place >= len(self._bodies):
                return None
        return self._bodies[place]


def ascending(connection: sqlite3.Connection, offset: int) -> Iterator[tuple[int, Body]]:
    """(offset, record) from an offset on."""
    for first, row in connection.execute(_FROM, (_row_of(connection, offset),)):
        for place, body in enumerate(bodies_of(row), first):
            if place >= offset:
                yield place, body


def descending(connection: sqlite3.Connection, offset: int) -> Iterator[Body]:
    """Records from an offset backwards."""
    for first, row in connection.execute(_UP_TO, (offset,)):
        yield from reversed(bodies_of(row)[: offset - first + 1])


def last_offset(connection: sqlite3.Connection) -> int:
    """Of the last record; 0 if there is none."""
    found = connection.execute("SELECT offset, body FROM log ORDER BY offset DESC LIMIT 1").fetchone()
    return 0 if found is None else int(found[0]) + len(bodies_of(found[1])) - 1


def _row_of(connection: sqlite3.Connection, offset: int) -> int:
    """Where the row begins that an offset is in, or would be."""
    found = connection.execute("SELECT max(offset) FROM log WHERE offset <= ?", (offset,)).fetchone()[0]
    return offset if found is None else int(found)


def replace(connection: sqlite3.Connection, offset: int, body: bytes) -> None:
    """Puts another record in the place of one that is there."""
    first = _row_of(connection, offset)
    (row,) = connection.execute("SELECT body FROM log WHERE offset = ?", (first,)).fetchone()
    bodies = [*bodies_of(row)]
    bodies[offset - first] = body
    _rewrite(connection, first, rows_of(first, bodies))


def cut(connection: sqlite3.Connection, floor: int) -> None:
    """Takes what is before an offset out of the row which that is in; the rows before it stay."""
    first = _row_of(connection, floor)
    found = connection.execute("SELECT body FROM log WHERE offset = ?", (first,)).fetchone()
    if found is not None and first < floor:
        _rewrite(connection, first, rows_of(floor, bodies_of(found[0])[floor - first :]))


def _rewrite(connection: sqlite3.Connection, first: int, rows: Iterable[tuple[int, bytes]]) -> None:
    connection.execute("DELETE FROM log WHERE offset = ?", (first,))
    INSERT_LOG(connection, [*rows])
