"""The log's rows: what was committed together shares a row of the table, as far as that fits into a page.

A row is a record (records.py) by itself, or `[2, record, record, ...]` in MessagePack: those of the row's
offset and the ones that follow it. Rows cost the writer several times as much as the bytes in them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from imserver.backends.embedded.bulk import Insert
from imserver.backends.embedded.log_packing import LIST, SEVERAL, rows_of
from imserver.backends.embedded.records import FanoutRecord, MessageRecord, decode

INSERT_LOG = Insert("INSERT INTO log", 2)
_split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_UP_TO = "SELECT offset, body FROM log WHERE offset <= ? ORDER BY offset DESC"
_ROW = f"{_UP_TO} LIMIT 1"
_FROM = (
    "SELECT offset, body FROM log WHERE offset >="
    " coalesce((SELECT max(offset) FROM log WHERE offset <= ?1), ?1) ORDER BY offset"
)
_NO_OFFSET = (1 << 63) - 1
"""Behind all that there are."""

Body = bytes | msgspec.Raw
"""A record as bytes."""


def bodies_of(row: bytes) -> Sequence[Body]:
    """The records of a row. Raises msgspec.MsgspecError."""
    if row[:1] == LIST and row[3:4] == SEVERAL:
        return _split(row)[1:]
    return (row,)


def _row(connection: sqlite3.Connection, offset: int) -> tuple[int, Sequence[Body]]:
    """Where the last row begins that is not behind an offset, and its records; none where there is no row."""
    found = connection.execute(_ROW, (offset,)).fetchone()
    return (offset, ()) if found is None else (found[0], bodies_of(found[1]))


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
            self._first, self._bodies = _row(self._connection, offset)
            place = offset - self._first
            if place >= len(self._bodies):
                return None
        return self._bodies[place]

    def record(self, offset: int) -> MessageRecord | FanoutRecord | None:
        """The same, decoded."""
        body = self.body(offset)
        return None if body is None else decode(body)


def ascending(connection: sqlite3.Connection, offset: int) -> Iterator[tuple[int, Body]]:
    """(offset, record) from an offset on."""
    for first, row in connection.execute(_FROM, (offset,)):
        for place, body in enumerate(bodies_of(row), first):
            if place >= offset:
                yield place, body


def descending(connection: sqlite3.Connection, offset: int) -> Iterator[Body]:
    """Records from an offset backwards."""
    for first, row in connection.execute(_UP_TO, (offset,)):
        yield from reversed(bodies_of(row)[: offset - first + 1])


def last_offset(connection: sqlite3.Connection) -> int:
    """Of the last record; 0 if there is none."""
    first, bodies = _row(connection, _NO_OFFSET)
    return first + len(bodies) - 1 if bodies else 0


def replace(connection: sqlite3.Connection, offset: int, body: bytes) -> None:
    """Puts another record in the place of one that is there."""
    first, before = _row(connection, offset)
    bodies = [*before]
    bodies[offset - first] = body
    _rewrite(connection, first, enumerate(bodies, first))


def cut(connection: sqlite3.Connection, floor: int) -> None:
    """Takes what is before an offset out of the row which that is in; the rows before it stay."""
    first, bodies = _row(connection, floor)
    if first < floor:
        _rewrite(connection, first, enumerate(bodies[floor - first :], floor))


def _rewrite(connection: sqlite3.Connection, first: int, records: Iterable[tuple[int, Body]]) -> None:
    connection.execute("DELETE FROM log WHERE offset = ?", (first,))
    INSERT_LOG(connection, rows_of(records))
