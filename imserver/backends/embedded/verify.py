"""Checks a store from end to end: `imserver verify DATA`.

Reads only, in one snapshot, so it may run beside the server. Everything is
computed again from the log and compared with what else is on the disk.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from imserver.backends.embedded.database import DATABASE_NAME, connect
from imserver.backends.embedded.schema import APPLICATION_ID, MIGRATIONS
from imserver.backends.embedded.verify_files import check_files
from imserver.backends.embedded.verify_index import IndexCheck
from imserver.backends.embedded.verify_log import LogCheck
from imserver.model.calls import Ending

Progress = Callable[[str, int], None]

MAX_FAULTS = 100
"""More are not collected: a store so damaged is restored, not read about."""

_ENDINGS = {"endings": json.dumps(list(Ending))}
_TABLES = (
    (
        "a change is in a user's list but not in the log of changes",
        "SELECT user_no, id FROM change_index WHERE id NOT IN (SELECT id FROM changes) LIMIT 5",
    ),
    (
        "a user is twice a member of a group",
        "SELECT no, user_no FROM memberships WHERE left_pos IS NULL"
        " GROUP BY no, user_no HAVING count(*) > 1 LIMIT 5",
    ),
    (
        "a membership ends before it begins",
        "SELECT no, user_no FROM memberships WHERE left_pos < joined_pos LIMIT 5",
    ),
    (
        "a group's owner is not its member",
        "SELECT gid, owner FROM groups g WHERE deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM memberships m"
        " WHERE m.no = g.no AND m.user_no = g.owner AND m.left_pos IS NULL) LIMIT 5",
    ),
    (
        "a deleted group has members",
        "SELECT g.gid, m.user_no FROM groups g JOIN memberships m ON m.no = g.no"
        " WHERE g.deleted_at IS NOT NULL AND m.left_pos IS NULL LIMIT 5",
    ),
    (
        "a name is known to a user for a conversation of others",
        "SELECT a.user_no, a.no FROM aliases a LEFT JOIN pairs p ON p.no = a.no"
        " WHERE p.no IS NULL OR a.user_no NOT IN (p.a, p.b) LIMIT 5",
    ),
    (
        "a single conversation has a user without an account",
        "SELECT no, a FROM pairs WHERE a NOT IN (SELECT no FROM users)"
        " OR b NOT IN (SELECT no FROM users) LIMIT 5",
    ),
    (
        "a pair and a group have the same number",
        "SELECT p.no, g.gid FROM pairs p JOIN groups g ON g.no = p.no LIMIT 5",
    ),
)
_CALLS = (
    (
        "a call has a user without an account",
        "SELECT no, id FROM calls WHERE caller NOT IN (SELECT no FROM users)"
        " OR callee NOT IN (SELECT no FROM users) LIMIT 5",
    ),
    (
        "a call was ended by somebody else",
        "SELECT no, id FROM calls WHERE ended_by NOT IN (0, caller, callee) LIMIT 5",
    ),
    (
        "a call has an end that is none",
        "SELECT no, id FROM calls WHERE ending NOT IN (SELECT value FROM json_each(:endings)) LIMIT 5",
    ),
    (
        "a call that was answered, or lasts, is told as a missed one",
        "SELECT no, id FROM calls WHERE missed IS NOT NULL AND (answered_at OR ending IS NULL) LIMIT 5",
    ),
    (
        "a missed call's change is another one",
        "SELECT k.no, k.missed FROM calls k JOIN changes c ON c.id = k.missed WHERE c.kind <> 1 LIMIT 5",
    ),
    (
        "a missed call's change was never written",
        "SELECT no, missed FROM calls WHERE missed >"
        " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0) LIMIT 5",
    ),
    (
        "a missed call is not in its callee's list of changes",
        "SELECT no, missed FROM calls k WHERE missed >= (SELECT min(id) FROM change_index)"
        " AND NOT EXISTS (SELECT 1 FROM change_index i WHERE i.user_no = k.callee AND i.id = k.missed)"
        " LIMIT 5",
    ),
)
_FRIENDS = (
    (
        "a friendship has a user without an account, or is not in order",
        "SELECT a, b FROM friendships WHERE a >= b OR a NOT IN (SELECT no FROM users)"
        " OR b NOT IN (SELECT no FROM users) LIMIT 5",
    ),
    (
        "an open friend request has a user without an account, or is to oneself",
        "SELECT no, asker, asked FROM friend_requests WHERE asker = asked"
        " OR asker NOT IN (SELECT no FROM users) OR asked NOT IN (SELECT no FROM users) LIMIT 5",
    ),
    (
        "a friend request is open between friends",
        "SELECT r.no, f.a, f.b FROM friend_requests r JOIN friendships f"
        " ON f.a = min(r.asker, r.asked) AND f.b = max(r.asker, r.asked) LIMIT 5",
    ),
    (
        "two users have open friend requests to each other",
        "SELECT r.no, s.no FROM friend_requests r JOIN friend_requests s"
        " ON s.asker = r.asked AND s.asked = r.asker WHERE r.no < s.no LIMIT 5",
    ),
    (
        "a friend request's change is another one",
        "SELECT r.no, r.change FROM friend_requests r JOIN changes c ON c.id = r.change"
        " WHERE c.kind <> 2 LIMIT 5",
    ),
    (
        "a friend request is not in the list of changes of the one who was asked",
        "SELECT no, change FROM friend_requests r WHERE change >= (SELECT min(id) FROM change_index)"
        " AND NOT EXISTS (SELECT 1 FROM change_index i WHERE i.user_no = r.asked AND i.id = r.change)"
        " LIMIT 5",
    ),
    (
        "a block has a user without an account, or is of oneself",
        "SELECT user_no, blocked FROM blocks WHERE user_no = blocked"
        " OR user_no NOT IN (SELECT no FROM users) OR blocked NOT IN (SELECT no FROM users) LIMIT 5",
    ),
)
_BY_VERSION = ((1, _TABLES), (2, _CALLS), (3, _FRIENDS))
"""A backup of an older version has not all of the tables."""


def verify(
    where: Path,
    progress: Progress | None = None,
    *,
    dedupe_seconds: float = 86400.0,
    now: float | None = None,
    blobs: Path | None = None,
) -> list[str]:
    """Checks a data directory or a database file (a backup).

    Args:
        progress: told now and then what is being read and how far it is.
        dedupe_seconds: how long client ids must have been remembered; the contract's day, or less.
        now: the time of day, float seconds; default that of this machine.
        blobs: where the bytes of a data directory's files are; default its own files/blobs.

    Returns:
        the faults, one line each; [] for a sound store.
    """
    path = where / DATABASE_NAME if where.is_dir() else where
    if not path.is_file():
        return [f"{path}: there is no such database"]
    tell = progress if progress is not None else _silent
    try:
        with closing(connect(path, read_only=True)) as connection:
            connection.execute("BEGIN")
            faults = _verify(connection, tell, dedupe_seconds, now)
            if not where.is_dir():
                blobs = None
            elif blobs is None:
                blobs = where / "files" / "blobs"
            return (faults + check_files(connection, blobs))[:MAX_FAULTS]
    except (sqlite3.Error, msgspec.MsgspecError, ValueError) as error:
        return [f"{path}: cannot be read: {error}"]


def verify_connection(
    connection: sqlite3.Connection, *, dedupe_seconds: float = 86400.0, now: float
) -> list[str]:
    """Checks what one connection sees, for tests of a store in memory."""
    return _verify(connection, _silent, dedupe_seconds, now) + check_files(connection, None)


def _silent(what: str, count: int) -> None:
    """Nobody wants to know."""


def _verify(
    connection: sqlite3.Connection, progress: Progress, dedupe_seconds: float, now: float | None = None
) -> list[str]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        return ["not a database of this server"]
    if not 0 < version <= len(MIGRATIONS):
        return [f"schema version {version}, this program reads up to {len(MIGRATIONS)}"]
    progress("pages", 0)
    faults = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
    if faults:
        return faults
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    floor, watermark = meta.get("floor", 1), meta.get("indexed_upto", 0)
    if not meta.get("epoch"):
        faults.append("there is no inbox epoch")
    log = LogCheck(connection, floor, watermark, dedupe_seconds, time.time() if now is None else now)
    faults += log.run(progress)
    for table, heads in (("inbox_index", log.inboxes), ("conversation_index", log.conversations)):
        faults += IndexCheck(connection, table, floor, watermark).run(heads, progress)
    faults += _devices(connection, log)
    for since, checks in _BY_VERSION:
        for what, sql in checks if version >= since else ():
            faults += [f"{what}: {' '.join(map(str, row))}" for row in connection.execute(sql, _ENDINGS)]
    return faults


def _devices(connection: sqlite3.Connection, log: LogCheck) -> list[str]:
    """No device may have acknowledged what does not exist."""
    faults = []
    for user_no, device, acked in connection.execute(
        "SELECT user_no, device, acked FROM devices WHERE acked > 0"
    ):
        head = log.inboxes.last.get(user_no, 0)
        if acked > head and head:
            faults.append(f"user {user_no}: device {device!r} acknowledged {acked}, the inbox ends at {head}")
    return faults
