"""Reading pages: from a number in an index to log offsets, from offsets to messages.

These functions run on reader threads, inside one read transaction. What is
still in memory is cut out of the tails before, on the reactor thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

from imserver.backends.common.page_bytes import page_bytes
from imserver.backends.embedded.log_rows import LogReader
from imserver.backends.embedded.records import (
    FanoutRecord,
    MessageRecord,
    message_of,
    unpack_offsets,
)
from imserver.model.messages import InboxRow

_ROWS = (
    "SELECT first, offsets FROM {0} WHERE no = ?1 AND first <= ?3"
    " AND first >= coalesce((SELECT max(first) FROM {0} WHERE no = ?1 AND first <= ?2), 0) ORDER BY first"
)
INBOX = _ROWS.format("inbox_index")
CONVERSATION = _ROWS.format("conversation_index")


class Span(Struct, frozen=True, gc=False):
    """Numbers first..last of one user or conversation; those from `tail_first` on are at `tail`."""

    first: int
    last: int
    tail_first: int
    tail: list[int]


class Page(Struct, frozen=True):
    """Rows read.

    Attributes:
        missing: the highest log offset that was not there; it must be below the floor.
        more: whether there was more than fitted.
    """

    rows: list[InboxRow]
    missing: int
    more: bool


def offsets_on_disk(
    connection: sqlite3.Connection, sql: str, no: int, first: int, last: int
) -> list[tuple[int, int]]:
    """(number, log offset) for the numbers first..last, as far as the disk has them."""
    found: list[tuple[int, int]] = []
    if first > last:
        return found
    for start, packed in connection.execute(sql, (no, first, last)):
        offsets = unpack_offsets(packed)
        low = max(first - start, 0)
        high = min(last - start + 1, len(offsets))
        found.extend((start + index, offsets[index]) for index in range(low, high))
    return found


def read_page(
    connection: sqlite3.Connection,
    sql: str,
    no: int,
    spans: Sequence[Span],
    limit: int,
    max_bytes: int,
    reader_no: int,
    with_seq: bool,
) -> Page:
    """Reads up to `limit` rows of ascending spans.

    Args:
        max_bytes: bound of the sum of `page_bytes`; the first row always fits.
        reader_no: whose names the conversations bear.
        with_seq: rows carry their number; else 0.
    """
    rows: list[InboxRow] = []
    log = LogReader(connection)
    size = 0
    missing = 0
    for span in spans:
        # One number more than asked for tells whether there is more.
        last = min(span.last, span.first + limit - len(rows))
        found = offsets_on_disk(connection, sql, no, span.first, min(last, span.tail_first - 1))
        found.extend(
            (span.tail_first + index, offset)
            for index, offset in enumerate(span.tail)
            if span.tail_first + index <= last
        )
        for number, offset in found:
            if len(rows) >= limit:
                return Page(rows, missing, True)
            record = read_message(log, offset)
            if record is None:
                missing = offset
                continue
            message = message_of(record, reader_no)
            size += page_bytes(message)
            if rows and size > max_bytes:
                return Page(rows, missing, True)
            rows.append(InboxRow(number if with_seq else 0, message))
        if last < span.last:
            # Some of what was asked for is gone, so the page is not full: there is more all the same.
            return Page(rows, missing, True)
    return Page(rows, missing, False)


def read_message(log: LogReader, offset: int) -> MessageRecord | None:
    """The message at an offset, also where the row only points to it; None if it is gone."""
    record = log.record(offset)
    if isinstance(record, FanoutRecord):
        return read_message(log, record.message)
    return record


def fanout_of(connection: sqlite3.Connection, message: int, user_no: int) -> int:
    """Where the record is by which a broadcast, at log offset `message`, went to a user; 0 if it has not."""
    row = connection.execute(
        "SELECT offset FROM fanouts WHERE message = ? AND upto >= ? ORDER BY upto LIMIT 1", (message, user_no)
    ).fetchone()
    return 0 if row is None else int(row[0])


def first_kept(connection: sqlite3.Connection, table: str, no: int, floor: int) -> int:
    """The first number on the disk whose row is at or above the floor; 0 if there is none."""
    row = connection.execute(
        f"SELECT first, offsets FROM {table} WHERE no = ? AND last_offset >= ? ORDER BY first LIMIT 1",  # noqa: S608
        (no, floor),
    ).fetchone()
    if row is None:
        return 0
    first, packed = row
    for index, offset in enumerate(unpack_offsets(packed)):
        if offset >= floor:
            return int(first) + index
    return 0
