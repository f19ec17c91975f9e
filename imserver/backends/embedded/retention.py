"""Forgetting: old messages, calls, client ids, changes and grants; and giving the disk back.

The log is cut at one offset, the floor. It is moved first, in a commit of its
own, so that nobody reads what is deleted after it, in slices between which sends
are committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

from imserver.backends.embedded.core import Core, guarded
from imserver.backends.embedded.dedupe import span_of
from imserver.backends.embedded.indexing import Indexer
from imserver.backends.embedded.log_rows import ascending, cut, descending, last_offset
from imserver.backends.embedded.records import MessageRecord, decode

SLICE = 1000
"""Rows deleted, or pages given back, between two commits."""
LOG_SLICE = 300
"""Of the log: shared rows are three to a page."""

_GRANT_GRACE = 86400.0

_DELETE_LOG = (
    "DELETE FROM log WHERE offset IN (SELECT offset FROM log WHERE offset < ? ORDER BY offset LIMIT ?)"
)
"""The row that the floor is in begins there."""
_DELETE_INDEX = (
    "DELETE FROM {0} WHERE (no, first) IN"
    " (SELECT no, first FROM {0} AS old WHERE no BETWEEN ? AND ? AND last_offset < ?"
    # A user's last row stays: it says where the numbers go on.
    " AND first < (SELECT max(first) FROM {0} AS newest WHERE newest.no = old.no) LIMIT ?)"
)
_DELETE_CLIENT_IDS = (
    "DELETE FROM client_ids WHERE (bucket, part, first) IN"
    " (SELECT bucket, part, first FROM client_ids WHERE bucket < ? << 32 LIMIT ?)"
)
_DELETE_FANOUTS = (
    "DELETE FROM fanouts WHERE (message, upto) IN"
    " (SELECT message, upto FROM fanouts WHERE message < ? LIMIT ?)"
)
_DELETE_BROADCASTS = (
    "DELETE FROM broadcasts WHERE message IN (SELECT message FROM broadcasts WHERE message < ? LIMIT ?)"
)
_DELETE_CHANGE_INDEX = (
    "DELETE FROM change_index WHERE (user_no, id) IN"
    " (SELECT user_no, id FROM change_index WHERE id < ? ORDER BY id LIMIT ?)"
)
_DELETE_CHANGES = "DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE id < ? ORDER BY id LIMIT ?)"
_DELETE_CALLS = "DELETE FROM calls WHERE no IN (SELECT no FROM calls WHERE no < ? ORDER BY no LIMIT ?)"
_DELETE_GRANTS = (
    "DELETE FROM grants WHERE sid IN (SELECT sid FROM grants WHERE expires_at < ? ORDER BY sid LIMIT ?)"
)


class Retention:
    """Trims the store."""

    def __init__(self, core: Core, indexer: Indexer) -> None:
        self._core = core
        self._indexer = indexer
        self._running = False

    @guarded
    async def trim(self, now: float) -> None:
        """Forgets what is too old at `now` (float seconds); does nothing if it is at it already.

        Raises:
            ImError: UNAVAILABLE if the disk failed; the next call goes on.
        """
        if self._running:
            return
        self._running = True
        try:
            deleted = await self._trim(now)
            if deleted:
                await self._give_back()
        finally:
            self._running = False

    async def _trim(self, now: float) -> int:
        settings = self._core.settings
        deleted = 0
        if settings.retention_seconds > 0:
            # Answers to retries are read from the log.
            kept = max(settings.retention_seconds, settings.dedupe_seconds)
            await self._move_floor(now - kept)
            deleted += await self._delete(_DELETE_CALLS, await self._core.read(_first_call_since, now - kept))
        deleted += await self._cut_log()
        oldest = span_of(now - settings.dedupe_seconds)
        self._core.state.dedupe.expire(oldest)
        deleted += await self._delete(_DELETE_CLIENT_IDS, oldest)
        expired = await self._core.read(_first_change_since, now - settings.change_seconds)
        deleted += await self._delete(_DELETE_CHANGE_INDEX, expired)
        deleted += await self._delete(_DELETE_CHANGES, expired)
        deleted += await self._delete(_DELETE_GRANTS, now - _GRANT_GRACE)
        return deleted

    async def _move_floor(self, cutoff: float) -> None:
        core = self._core
        if not await core.read(_has_older, core.state.floor, cutoff):
            return
        # Only what is indexed can be cut.
        await self._indexer.flush()
        state = core.state
        floor: int = await core.read(_find_floor, state.floor, state.indexed_upto, cutoff)
        if floor <= core.state.floor:
            return

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('floor', ?)", (floor,))

        def committed(_: None) -> None:
            core.state.floor = floor

        await core.write(write, on_commit=committed)

    async def _cut_log(self) -> int:
        floor = self._core.state.floor
        if floor <= await self._core.read(_trimmed_to):
            return 0
        await self._core.write(lambda connection: cut(connection, floor))
        deleted = await self._delete(_DELETE_LOG, floor, at_once=LOG_SLICE)
        deleted += await self._delete(_DELETE_FANOUTS, floor)
        deleted += await self._delete(_DELETE_BROADCASTS, floor)
        for table in ("inbox_index", "conversation_index"):
            deleted += await self._cut_index(table, floor)
        await self._core.write(partial(_set_trimmed_to, floor))
        return deleted

    async def _cut_index(self, table: str, floor: int) -> int:
        state = self._core.state
        last = max(state.next_user_no, state.next_conversation_no)
        deleted = 0
        for start in range(0, last + 1, SLICE):
            deleted += await self._delete(_DELETE_INDEX.format(table), start, start + SLICE - 1, floor)
        return deleted

    async def _delete(self, sql: str, *bounds: float, at_once: int = SLICE) -> int:
        total = 0
        while True:
            deleted: int = await self._core.write(partial(_execute, sql, (*bounds, at_once)))
            total += deleted
            if deleted < at_once:
                return total

    async def _give_back(self) -> None:
        """Shrinks the file."""
        before, left = -1, 0
        while left != before:
            before, left = left, await self._core.journal.afterwards(_vacuum_some)
        run: Callable[[sqlite3.Connection], None] = _truncate_wal
        await self._core.journal.afterwards(run)


def _execute(sql: str, parameters: tuple[float, ...], connection: sqlite3.Connection) -> int:
    return connection.execute(sql, parameters).rowcount


def _server_at(connection: sqlite3.Connection, offset: int) -> float | None:
    """The time of the last message up to an offset (fan-outs have none), None if there is none."""
    for body in descending(connection, offset):
        record = decode(body)
        if isinstance(record, MessageRecord):
            return record.server_at
    return None


def _has_older(connection: sqlite3.Connection, floor: int, cutoff: float) -> bool:
    first = next((offset for offset, _ in ascending(connection, floor)), 0)
    at = _server_at(connection, first)
    return at is not None and at < cutoff


def _find_floor(connection: sqlite3.Connection, floor: int, indexed_upto: int, cutoff: float) -> int:
    """The first offset to keep.

    Times never go back along the log, so a binary search finds the cut. The last
    row always stays (offsets and times go on from it), and a broadcast is cut
    together with the rows that point to it.
    """
    low, high = floor, min(indexed_upto + 1, last_offset(connection))
    while low < high:
        middle = (low + high) // 2
        at = _server_at(connection, middle)
        if at is not None and at < cutoff:
            low = middle + 1
        else:
            high = middle
    while True:
        row = connection.execute(
            "SELECT min(message) FROM broadcasts WHERE message < ?1 AND (last_offset >= ?1 OR NOT done)",
            (low,),
        ).fetchone()
        if row[0] is None:
            return low
        low = int(row[0])


def _trimmed_to(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE key = 'trimmed_to'").fetchone()
    return 1 if row is None else int(row[0])


def _set_trimmed_to(floor: int, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('trimmed_to', ?)", (floor,))


def _first_change_since(connection: sqlite3.Connection, cutoff: float) -> int:
    """The first change to keep."""
    row = connection.execute("SELECT id FROM changes WHERE at >= ? ORDER BY id LIMIT 1", (cutoff,)).fetchone()
    if row is None:
        row = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM changes").fetchone()
    return int(row[0])


def _first_call_since(connection: sqlite3.Connection, cutoff: float) -> int:
    """The first record of a call to keep; one that lasts is kept."""
    row = connection.execute(
        "SELECT no FROM calls WHERE created_at >= ? OR ending IS NULL ORDER BY no LIMIT 1", (cutoff,)
    ).fetchone()
    if row is None:
        row = connection.execute("SELECT coalesce(max(no), 0) + 1 FROM calls").fetchone()
    return int(row[0])


def _vacuum_some(connection: sqlite3.Connection) -> int:
    """Gives some free pages back, in a transaction of its own; returns how many are left."""
    # execute() would step this statement once, which is one page.
    connection.executescript(f"PRAGMA incremental_vacuum({SLICE});")
    (left,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(left)


def _truncate_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
