"""The tables, and how older data directories are brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from imserver.backends.embedded.client_ids import INSERT_CLIENT_IDS, converted

APPLICATION_ID = 0x494D5356
"""Written into the file's header ("IMSV"), so that a foreign database is recognised."""

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- The truth: one record per append (records.py), the number is the order of commits.
CREATE TABLE log (offset INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- `offsets` packs the log offsets of the numbers first, first+1, ...
CREATE TABLE inbox_index (
    no INTEGER NOT NULL, first INTEGER NOT NULL, last_offset INTEGER NOT NULL, offsets BLOB NOT NULL,
    PRIMARY KEY (no, first)) WITHOUT ROWID;
CREATE TABLE conversation_index (
    no INTEGER NOT NULL, first INTEGER NOT NULL, last_offset INTEGER NOT NULL, offsets BLOB NOT NULL,
    PRIMARY KEY (no, first)) WITHOUT ROWID;

-- Hash of (sender, format, client id); the log row decides. Buckets: see `dedupe`.
CREATE TABLE dedupe (
    bucket INTEGER NOT NULL, hash INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (bucket, hash, offset)) WITHOUT ROWID;

CREATE TABLE users (
    no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL, role TEXT NOT NULL,
    disabled INTEGER NOT NULL, created_at REAL NOT NULL, generation INTEGER NOT NULL,
    last_seen REAL NOT NULL DEFAULT 0);
CREATE TABLE grants (
    sid TEXT PRIMARY KEY, user TEXT NOT NULL, platform TEXT NOT NULL, refresh_id TEXT NOT NULL,
    created_at REAL NOT NULL, expires_at REAL NOT NULL, previous_id TEXT NOT NULL,
    request_digest TEXT NOT NULL, rotated_at REAL NOT NULL, revoked INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX grants_of_user ON grants (user);

-- Conversations: pairs and groups share one space of numbers; 0 is the broadcast.
CREATE TABLE pairs (no INTEGER PRIMARY KEY, a INTEGER NOT NULL, b INTEGER NOT NULL, UNIQUE (a, b));
CREATE INDEX pairs_of_second ON pairs (b);
CREATE TABLE aliases (
    user_no INTEGER NOT NULL, name TEXT NOT NULL, no INTEGER NOT NULL,
    PRIMARY KEY (user_no, name, no)) WITHOUT ROWID;
CREATE INDEX aliases_of_conversation ON aliases (no, name);
CREATE TABLE groups (
    gid TEXT PRIMARY KEY, no INTEGER NOT NULL UNIQUE, name TEXT NOT NULL, owner INTEGER NOT NULL,
    open INTEGER NOT NULL, password_hash TEXT NOT NULL, created_at REAL NOT NULL,
    deleted_at REAL) WITHOUT ROWID;
-- A member sees the positions after joined_pos up to left_pos.
CREATE TABLE memberships (
    id INTEGER PRIMARY KEY, no INTEGER NOT NULL, user_no INTEGER NOT NULL, joined_at REAL NOT NULL,
    joined_pos INTEGER NOT NULL, left_at REAL, left_pos INTEGER);
CREATE INDEX memberships_of_group ON memberships (no, user_no);
CREATE INDEX memberships_of_user ON memberships (user_no);
CREATE TABLE invitations (
    no INTEGER NOT NULL, user_no INTEGER NOT NULL, invited_by TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (no, user_no)) WITHOUT ROWID;

-- A broadcast's message, how far its fan-out is (users up to `upto`), and the rows that point to it.
CREATE TABLE broadcasts (
    message INTEGER PRIMARY KEY, max_no INTEGER NOT NULL, upto INTEGER NOT NULL, last_offset INTEGER NOT NULL,
    done INTEGER NOT NULL);
CREATE TABLE fanouts (
    message INTEGER NOT NULL, upto INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (message, upto)) WITHOUT ROWID;

CREATE TABLE devices (
    user_no INTEGER NOT NULL, format TEXT NOT NULL, device TEXT NOT NULL, acked INTEGER NOT NULL,
    changed INTEGER NOT NULL, touched REAL NOT NULL, PRIMARY KEY (user_no, format, device)) WITHOUT ROWID;
CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, everyone INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX changes_for_everyone ON changes (id) WHERE everyone;
CREATE TABLE change_index (
    user_no INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (user_no, id)) WITHOUT ROWID;
CREATE INDEX change_index_by_id ON change_index (id);
"""

_CALLS = """
-- What the body of a change is; see change_log.Kind.
ALTER TABLE changes ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;

-- One row a call, in the order in which the offers came. Client programs choose ids, and may choose one
-- again, so it takes caller and time to know a call. caller, callee and ended_by are numbers of users
-- (0 = nobody); ending NULL = it lasts; missed = the change that tells the callee; withheld = not for the
-- callee's eyes.
CREATE TABLE calls (
    no INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, caller INTEGER NOT NULL, callee INTEGER NOT NULL,
    video INTEGER NOT NULL, created_at REAL NOT NULL, answered_at REAL NOT NULL, ended_at REAL NOT NULL,
    ending TEXT, ended_by INTEGER NOT NULL, missed INTEGER, withheld INTEGER NOT NULL);
CREATE UNIQUE INDEX calls_by_id ON calls (id, caller, created_at);
CREATE INDEX calls_of_caller ON calls (caller, no);
CREATE INDEX calls_of_callee ON calls (callee, no) WHERE NOT withheld;
CREATE INDEX calls_missed ON calls (callee, missed) WHERE missed IS NOT NULL;
CREATE INDEX calls_unfinished ON calls (no) WHERE ending IS NULL;
"""

_FRIENDS = """
-- a < b, as numbers of users.
CREATE TABLE friendships (
    a INTEGER NOT NULL, b INTEGER NOT NULL, since REAL NOT NULL, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE INDEX friendships_of_second ON friendships (b);
-- Open ones only; change = the change that tells of it.
CREATE TABLE friend_requests (
    no INTEGER PRIMARY KEY AUTOINCREMENT, asker INTEGER NOT NULL, asked INTEGER NOT NULL,
    message TEXT NOT NULL, at REAL NOT NULL, change INTEGER NOT NULL);
CREATE UNIQUE INDEX friend_requests_of_asker ON friend_requests (asker, asked);
CREATE INDEX friend_requests_of_asked ON friend_requests (asked, change);
CREATE TABLE blocks (
    user_no INTEGER NOT NULL, blocked INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (user_no, blocked)) WITHOUT ROWID;
CREATE INDEX blocks_of_blocked ON blocks (blocked);
"""

_FILES = """
-- Files that are sent, in the order of the requests. Their bytes are in DATA/files (docs/files.md), by
-- sha256. recipient and group_id: the target; state and kind: as services.file_ports has them.
CREATE TABLE transfers (
    no INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, file TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL, format TEXT NOT NULL, client_id TEXT NOT NULL, name TEXT NOT NULL,
    size INTEGER NOT NULL, sha256 TEXT NOT NULL, kind INTEGER NOT NULL, recipient TEXT NOT NULL,
    group_id TEXT NOT NULL, conversation TEXT NOT NULL, state TEXT NOT NULL, created_at REAL NOT NULL,
    expires_at REAL NOT NULL, message_id TEXT NOT NULL);
CREATE UNIQUE INDEX transfers_by_client_id ON transfers (owner, format, client_id) WHERE client_id <> '';
CREATE INDEX transfers_of_owner ON transfers (owner, no);
CREATE INDEX transfers_to_user ON transfers (recipient, no) WHERE recipient <> '';
CREATE INDEX transfers_to_group ON transfers (group_id, no) WHERE group_id <> '';
CREATE INDEX transfers_by_hash ON transfers (sha256);
CREATE INDEX transfers_by_expiry ON transfers (expires_at);
CREATE INDEX transfers_alive ON transfers (size) WHERE state IN ('open', 'stored');
CREATE INDEX transfers_untold ON transfers (no) WHERE state = 'stored' AND message_id = '';
-- What recipients did about them.
CREATE TABLE deliveries (
    no INTEGER NOT NULL, user TEXT NOT NULL, state TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (no, user)) WITHOUT ROWID;
"""


def _create(connection: sqlite3.Connection) -> None:
    """Version 1."""
    for statement in _statements(_FIRST):
        connection.execute(statement)


def _add_calls(connection: sqlite3.Connection) -> None:
    """Version 2: records of calls, and changes that tell of missed ones."""
    for statement in _statements(_CALLS):
        connection.execute(statement)


def _add_friends(connection: sqlite3.Connection) -> None:
    """Version 3: friendships, open requests, blocks."""
    for statement in _statements(_FRIENDS):
        connection.execute(statement)


def _add_files(connection: sqlite3.Connection) -> None:
    """Version 4: files that are sent."""
    for statement in _statements(_FILES):
        connection.execute(statement)


def _add_encrypted_groups(connection: sqlite3.Connection) -> None:
    """Version 5: groups whose members' programs encrypt what they write."""
    connection.execute("ALTER TABLE groups ADD COLUMN encrypted INTEGER NOT NULL DEFAULT 0")


def _add_client_ids(connection: sqlite3.Connection) -> None:
    """Version 6: the hashes of client ids have a row a part of a bucket instead of one each."""
    connection.execute(
        "CREATE TABLE client_ids (bucket INTEGER NOT NULL, part INTEGER NOT NULL, first INTEGER NOT NULL,"
        " ids BLOB NOT NULL, PRIMARY KEY (bucket, part, first)) WITHOUT ROWID"
    )
    # The first buckets were whole spans of time, by their numbers.
    rows = connection.execute(
        "SELECT iif(bucket >> 32, bucket, bucket << 32), hash, offset FROM dedupe"
        " ORDER BY bucket, hash, offset"
    )
    connection.executemany(INSERT_CLIENT_IDS.one, converted(rows))
    connection.execute("DROP TABLE dedupe")


def _share_rows(connection: sqlite3.Connection) -> None:
    """Version 7: rows of the log may have several records (`log_rows`). Those there are stay as they are."""


def _compact_client_ids(connection: sqlite3.Connection) -> None:
    """Version 8: buckets of client ids may be compact (`client_ids`). Those there are become so in time."""


def _statements(script: str) -> list[str]:
    """The statements of a script one by one; executescript() would commit."""
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: tuple[Migration, ...] = (
    _create,
    _add_calls,
    _add_friends,
    _add_files,
    _add_encrypted_groups,
    _add_client_ids,
    _share_rows,
    _compact_client_ids,
)
"""Step i brings a file from version i to i + 1; released steps are never changed."""


class NewerSchemaError(Exception):
    """The file was written by a newer version of the program."""


class ForeignDatabaseError(Exception):
    """The file is a database, but none of ours."""


def check(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Looks whether a file may be used, and writes nothing.

    Returns:
        its version; 0 for a new file.

    Raises:
        NewerSchemaError, ForeignDatabaseError: it may not.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or version):
        raise ForeignDatabaseError
    if version > len(migrations):
        raise NewerSchemaError(f"schema version {version}, this program knows up to {len(migrations)}")
    return int(version)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Brings the file up to date, all steps in one transaction.

    Returns:
        the version it had before.

    Raises:
        NewerSchemaError: nothing was touched.
        ForeignDatabaseError: nothing was touched.
    """
    version = check(connection, migrations)
    if version == len(migrations):
        return version
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in migrations[version:]:
            step(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return version
