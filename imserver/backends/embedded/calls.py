"""Records of calls, and what their callees missed.

A record is a row that the offer makes and the end completes. A row that has ended is
never changed again, which is what makes a missed call be told once: its change is
written in the transaction that ends the row.
"""

from __future__ import annotations

import re
import sqlite3
from functools import partial
from typing import Any

from msgspec import Struct, structs
from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.embedded.change_log import MissedRecord, tell, write_change
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.entities import User
from imserver.model.call_records import CallPage, CallRecord
from imserver.model.calls import Ending
from imserver.model.errors import ErrorCode, ImError
from imserver.services.ports import Change

SIGN_SECONDS = 60.0
"""While calls last, the time is written this often: about as exact is the end of those a crash ends."""

_CURSOR = re.compile(r"[0-9]{1,18}")
_NEWEST = 10**18
_SELECT = (
    "SELECT c.no, c.caller, c.callee, c.id, r.name, e.name, c.video, c.created_at, c.answered_at, c.ended_at,"
    " c.ending, coalesce(b.name, ''), c.withheld FROM calls c JOIN users r ON r.no = c.caller"
    " JOIN users e ON e.no = c.callee LEFT JOIN users b ON b.no = c.ended_by "
)
_PAGE = (
    _SELECT  # noqa: S608 - constants
    + "WHERE c.no IN"
    " (SELECT no FROM (SELECT no FROM calls WHERE caller = ?1 AND no < ?2 ORDER BY no DESC LIMIT ?3)"
    " UNION SELECT no FROM"
    " (SELECT no FROM calls WHERE callee = ?1 AND NOT withheld AND no < ?2 ORDER BY no DESC LIMIT ?3))"
    " ORDER BY c.no DESC LIMIT ?3"
)
_UNFINISHED = _SELECT + "WHERE c.ending IS NULL AND c.no <= ? ORDER BY c.no"
_END = "UPDATE calls SET answered_at = ?, ended_at = ?, ending = ?, ended_by = ?, missed = ? WHERE no = ?"
_INSERT = (
    "INSERT INTO calls"
    " (id, caller, callee, video, created_at, withheld, answered_at, ended_at, ending, ended_by, missed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class _Entry(Struct, frozen=True):
    """A record and the numbers of its users; `by` 0 = nobody."""

    record: CallRecord
    caller: int
    callee: int
    by: int


class Calls:
    """The part of `Store` that keeps records of calls."""

    log = Logger()

    def __init__(self, core: Core) -> None:
        self._core = core
        self._left = 0  # up to this row an earlier process may have left some unfinished
        self._known = 0.0
        self._ending_them = False
        self._signed_at = float("-inf")

    def start(self) -> None:
        """Sees to what an earlier process left unfinished; called when the store is opened."""
        row = self._core.reader.execute("SELECT max(no) FROM calls WHERE ending IS NULL").fetchone()
        if row[0]:
            self._left = row[0]
            self._known = self._last_known()
            self.tick()

    def _last_known(self) -> float:
        """When the earlier process was still there: the time of the newest thing it wrote."""
        reader = self._core.reader
        sign = reader.execute("SELECT value FROM meta WHERE key = 'calls_at'").fetchone()
        change = reader.execute("SELECT at FROM changes ORDER BY id DESC LIMIT 1").fetchone()
        times = [float(row[0]) for row in (sign, change) if row is not None]
        return max([self._core.state.last_ms / 1000, *times])

    def tick(self) -> None:
        """Called from time to time: ends what was left, also after the disk failed; gives a sign of life."""
        if self._left:
            if not self._ending_them:
                self._ending_them = True
                ensureDeferred(self._end_left()).addErrback(self._not_ended)
        elif self._core.clock.seconds() - self._signed_at >= SIGN_SECONDS:
            self._signed_at = self._core.clock.seconds()
            self._sign()

    def _sign(self) -> None:
        try:
            lasting = self._core.reader.execute("SELECT 1 FROM calls WHERE ending IS NULL LIMIT 1").fetchone()
        except sqlite3.Error:
            return
        if lasting:
            # If it is lost, the next one comes soon enough.
            signed = self._core.journal.task(partial(_sign, self._core.wall()))
            signed.addErrback(lambda failure: failure.trap(ImError))

    async def _end_left(self) -> None:
        now = self._core.wall()
        work = partial(_end_unfinished, self._left, min(self._known, now), now)
        try:
            await self._core.write(work, on_commit=self._tell)
            self._left = 0
        finally:
            self._ending_them = False

    def _not_ended(self, failure: Failure) -> None:
        if failure.check(ImError) is None:
            self._left = 0
            self.log.failure("calls of an earlier process could not be ended", failure=failure)

    async def record(self, record: CallRecord) -> None:
        """See `Store.record_call`."""
        state = self._core.state
        caller, callee = state.user(record.caller), state.user(record.callee)
        if caller is None or callee is None:
            raise ImError(ErrorCode.USER_NOT_FOUND, "a call is between two accounts")
        by = state.user(record.by) if record.by else None
        entry = _Entry(record, caller.no, callee.no, 0 if by is None else by.no)
        await self._core.write(partial(_record, entry, self._core.wall()), on_commit=self._tell)

    def _tell(self, changes: list[Change]) -> None:
        for change in changes:
            tell(self._core, change)

    async def calls(self, user: str, after: str, limit: int) -> CallPage:
        """See `Store.calls`."""
        before = _NEWEST
        if after:
            if _CURSOR.fullmatch(after) is None:
                raise ImError(ErrorCode.BAD_REQUEST, "the cursor was never given out")
            before = int(after)
        owner = self._core.state.user(user)
        if owner is None:
            return CallPage([])
        limit = max(limit, 1)
        rows: list[tuple[Any, ...]] = await self._core.read(_read_page, owner.no, before, limit + 1)
        more = len(rows) > limit
        return CallPage([_record_of(row) for row in rows[:limit]], str(rows[limit - 1][0]) if more else "")


def untold(core: Core, user: User, after: int) -> int:
    """The first change that tells a user of a missed call and comes after `after`; 0 = none is kept."""
    row = core.reader.execute(
        "SELECT min(missed) FROM calls WHERE callee = ? AND missed > ?"
        " AND missed >= (SELECT min(id) FROM changes)",
        (user.no, after),
    ).fetchone()
    return row[0] or 0


def _record_of(row: tuple[Any, ...]) -> CallRecord:
    _, _, _, call, caller, callee, video, created_at, answered_at, ended_at, ending, by, withheld = row
    return CallRecord(
        call,
        caller,
        callee,
        bool(video),
        created_at,
        answered_at,
        ended_at,
        None if ending is None else Ending(ending),
        by,
        bool(withheld),
    )


def _read_page(
    connection: sqlite3.Connection, user_no: int, before: int, limit: int
) -> list[tuple[Any, ...]]:
    return connection.execute(_PAGE, (user_no, before, limit)).fetchall()


def _record(entry: _Entry, at: float, connection: sqlite3.Connection) -> list[Change]:
    """Inserts or completes the row; what has ended stays as it is. Returns what is to be told."""
    record = entry.record
    row = connection.execute(
        "SELECT no, ending FROM calls WHERE id = ? AND caller = ? AND created_at = ?",
        (record.call, entry.caller, record.created_at),
    ).fetchone()
    if row is not None and row[1] is not None:
        return []
    changes = _missed(record, entry.callee, at, connection)
    ended = (
        record.answered_at,
        record.ended_at,
        record.ending,
        entry.by,
        changes[0].change_id if changes else None,
    )
    if row is None:
        offer = (record.call, entry.caller, entry.callee, record.video, record.created_at, record.withheld)
        connection.execute(_INSERT, (*offer, *ended))
    else:
        connection.execute(_END, (*ended, row[0]))
    return changes


def _missed(record: CallRecord, callee_no: int, at: float, connection: sqlite3.Connection) -> list[Change]:
    """Writes the change that tells the callee, if the call was missed."""
    if not record.told:
        return []
    missed = MissedRecord(
        record.call, record.caller, record.callee, record.video, record.created_at, record.ended_at
    )
    change_id = write_change(connection, at, missed, [callee_no])
    return [Change(change_id, missed.event(callee_no), [record.callee])]


def _sign(at: float, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('calls_at', ?)", (at,))


def _end_unfinished(last: int, known: float, at: float, connection: sqlite3.Connection) -> list[Change]:
    """Ends the calls of an earlier process (rows up to `last`), of which nothing is known after `known`."""
    changes: list[Change] = []
    for row in connection.execute(_UNFINISHED, (last,)).fetchall():
        record = _record_of(row)
        ended_at = max(known, record.answered_at, record.created_at)
        ended = structs.replace(record, ended_at=ended_at, ending=Ending.SHUTDOWN)
        changes += _record(_Entry(ended, row[1], row[2], 0), at, connection)
    return changes
