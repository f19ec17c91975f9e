"""The log of changes: what devices that are away are told after their next log-in.

A change is numbered over all users, belongs to some or to everybody, and tells of one event.
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from imserver.backends.embedded.core import Core
from imserver.backends.embedded.records import encode
from imserver.model.call_records import CallMissed
from imserver.model.friends import FriendChange, FriendChanged
from imserver.model.messages import MessageRevoked, MessagesRead
from imserver.services.ports import Change


class Kind(enum.IntEnum):
    """What the body of a change is."""

    MESSAGES = 0
    """A ChangeRecord."""
    MISSED_CALL = 1
    """A MissedRecord."""
    FRIENDS = 2
    """A FriendRecord."""


class ChangeRecord(Struct, array_like=True, frozen=True, gc=False):
    """A revoke (`read` False, one id) or a receipt as stored; `name` "" = the canonical one."""

    read: bool
    message_ids: tuple[str, ...]
    name: str
    canonical: str
    by: str
    at: float
    renamed: list[int]

    def event(self, reader_no: int) -> MessageRevoked | MessagesRead:
        """The event, with the name that is right for this reader."""
        name = self.name
        if not name or reader_no in self.renamed:
            name = self.canonical
        if self.read:
            return MessagesRead(self.message_ids, name, self.canonical, self.by, self.at)
        return MessageRevoked(self.message_ids[0], name, self.canonical, self.by, self.at)


class MissedRecord(Struct, array_like=True, frozen=True, gc=False):
    """A missed call as stored."""

    call: str
    caller: str
    callee: str
    video: bool
    created_at: float
    ended_at: float

    def event(self, reader_no: int) -> CallMissed:
        """The event, the same for every reader."""
        return CallMissed(self.call, self.caller, self.callee, self.video, self.created_at, self.ended_at)


class FriendRecord(Struct, array_like=True, frozen=True, gc=False):
    """What happened between two users, as stored; fields as in `FriendChanged`."""

    change: str
    user: str
    by: str
    at: float
    request: int
    message: str

    def event(self, reader_no: int) -> FriendChanged:
        """The event, the same for every reader."""
        change = FriendChange(self.change)
        return FriendChanged(change, self.user, self.by, self.at, self.request, self.message)


Record = ChangeRecord | MissedRecord | FriendRecord

_KINDS: dict[type, Kind] = {
    ChangeRecord: Kind.MESSAGES,
    MissedRecord: Kind.MISSED_CALL,
    FriendRecord: Kind.FRIENDS,
}
_DECODERS: dict[int, Callable[[bytes], Record]] = {
    Kind.MESSAGES: msgspec.msgpack.Decoder(ChangeRecord).decode,
    Kind.MISSED_CALL: msgspec.msgpack.Decoder(MissedRecord).decode,
    Kind.FRIENDS: msgspec.msgpack.Decoder(FriendRecord).decode,
}


def write_change(
    connection: sqlite3.Connection,
    at: float,
    record: Record,
    users: Sequence[int] | None,
) -> int:
    """Adds a change, for the writer; `users` None = everybody. Returns its number."""
    kind = _KINDS[type(record)]
    cursor = connection.execute(
        "INSERT INTO changes (at, everyone, body, kind) VALUES (?, ?, ?, ?)",
        (at, users is None, encode(record), kind),
    )
    change_id = cursor.lastrowid
    assert change_id is not None
    if users is not None:
        connection.executemany("INSERT INTO change_index VALUES (?, ?)", [(no, change_id) for no in users])
    return change_id


def decode_change(kind: int, body: bytes) -> Record:
    """A change as it is stored."""
    return _DECODERS[kind](body)


def read_changes(
    connection: sqlite3.Connection, user_no: int, after: int, limit: int
) -> list[tuple[int, Any]]:
    """(number, event) of a user's changes after `after`, ascending."""
    rows = connection.execute(
        "SELECT c.id, c.kind, c.body FROM change_index i JOIN changes c ON c.id = i.id"
        " WHERE i.user_no = ?1 AND i.id > ?2"
        " UNION ALL SELECT id, kind, body FROM changes WHERE everyone AND id > ?2 ORDER BY 1 LIMIT ?3",
        (user_no, after, limit),
    )
    return [(change_id, _DECODERS[kind](body).event(user_no)) for change_id, kind, body in rows]


def any_changes(connection: sqlite3.Connection, user_no: int, after: int) -> bool:
    """Whether `read_changes` would find anything: two look-ups in indexes, for any thread."""
    row = connection.execute(
        "SELECT 1 FROM change_index WHERE user_no = ?1 AND id > ?2"
        " UNION ALL SELECT 1 FROM changes WHERE everyone AND id > ?2 LIMIT 1",
        (user_no, after),
    ).fetchone()
    return row is not None


def tell(core: Core, change: Change) -> None:
    """Puts a change that was committed on the feed; for a task's `on_commit`."""
    state = core.state
    state.change_head = max(state.change_head, change.change_id)
    core.journal.changes.append(change)
