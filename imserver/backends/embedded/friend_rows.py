"""Rows of friends, open requests and blocks: what the writer does with them, and what a list reads.

All of it runs inside a transaction, so that of two users who act at once one comes first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from imserver.backends.embedded.change_log import FriendRecord, write_change
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import (
    BlockedUser,
    Friend,
    FriendChange,
    FriendList,
    FriendReply,
    FriendRequest,
    Standing,
)
from imserver.services.ports import Change
from imserver.services.ports.friends import FriendLimits

_COUNT_FRIENDS = (
    "SELECT (SELECT count(*) FROM friendships WHERE a = ?1) + (SELECT count(*) FROM friendships WHERE b = ?1)"
)
_FRIENDS = (
    "SELECT u.name, f.since, f.b FROM friendships f JOIN users u ON u.no = f.b WHERE f.a = ?1"
    " UNION ALL SELECT u.name, f.since, f.a FROM friendships f JOIN users u ON u.no = f.a WHERE f.b = ?1"
    " ORDER BY 1"
)
_RECEIVED = (
    "SELECT r.no, u.name, r.message, r.at, r.asker FROM friend_requests r JOIN users u ON u.no = r.asker"
    " WHERE r.asked = ? ORDER BY u.name"
)
_SENT = (
    "SELECT r.no, u.name, r.message, r.at, r.asked FROM friend_requests r JOIN users u ON u.no = r.asked"
    " WHERE r.asker = ? ORDER BY u.name"
)
_BLOCKED = (
    "SELECT u.name, k.at, k.blocked FROM blocks k JOIN users u ON u.no = k.blocked"
    " WHERE k.user_no = ? ORDER BY u.name"
)
_AROUND = (
    "SELECT 0, u.name FROM friendships f JOIN users u ON u.no = f.b WHERE f.a = ?1"
    " UNION ALL SELECT 0, u.name FROM friendships f JOIN users u ON u.no = f.a WHERE f.b = ?1"
    " UNION ALL SELECT 1, u.name FROM blocks k JOIN users u ON u.no = k.blocked WHERE k.user_no = ?1"
    " UNION ALL SELECT 2, u.name FROM blocks k JOIN users u ON u.no = k.user_no WHERE k.blocked = ?1"
    " UNION ALL SELECT 3, u.name FROM pairs p JOIN users u ON u.no = p.b WHERE p.a = ?1"
    " UNION ALL SELECT 3, u.name FROM pairs p JOIN users u ON u.no = p.a WHERE p.b = ?1"
    " UNION ALL SELECT 4, g.gid FROM memberships m JOIN groups g ON g.no = m.no"
    " WHERE m.user_no = ?1 AND m.left_pos IS NULL AND g.deleted_at IS NULL"
)


class Who(Struct, frozen=True):
    """One's name and number."""

    name: str
    no: int


class Deed(Struct, frozen=True):
    """Somebody does something about somebody else, at a time."""

    actor: Who
    other: Who
    at: float
    origin: str


class Outcome(Struct, frozen=True):
    """What came of it, and what is to be told."""

    reply: FriendReply
    changes: Sequence[Change] = ()


def request(deed: Deed, message: str, limits: FriendLimits, connection: sqlite3.Connection) -> Outcome:
    """Asks, or accepts what the other one asked. See `FriendDirectory.request_friend`."""
    actor, other = deed.actor, deed.other
    _check_not_blocked(deed, connection)
    if _friends(actor, other, connection):
        return Outcome(FriendReply(other.name, Standing.FRIENDS))
    if _open(other, actor, connection):
        return _befriend(deed, limits, connection)
    asked = _open(actor, other, connection)
    if asked:
        return Outcome(FriendReply(other.name, Standing.REQUESTED, asked))
    (sent,) = connection.execute(
        "SELECT count(*) FROM friend_requests WHERE asker = ?", (actor.no,)
    ).fetchone()
    (received,) = connection.execute(
        "SELECT count(*) FROM friend_requests WHERE asked = ?", (other.no,)
    ).fetchone()
    if sent >= limits.sent:
        raise ImError(ErrorCode.CONFLICT, "too many of your requests are open")
    if received >= limits.received:
        raise ImError(ErrorCode.CONFLICT, "the user has too many open requests")
    no = connection.execute(
        "INSERT INTO friend_requests (asker, asked, message, at, change) VALUES (?, ?, ?, ?, 0)",
        (actor.no, other.no, message, deed.at),
    ).lastrowid
    assert no is not None
    changes = _news(deed, FriendChange.REQUESTED, connection, no, message)
    if other.name in changes[0].users:
        connection.execute("UPDATE friend_requests SET change = ? WHERE no = ?", (changes[0].change_id, no))
    return Outcome(FriendReply(other.name, Standing.REQUESTED, no), changes)


def accept(deed: Deed, request: int, limits: FriendLimits, connection: sqlite3.Connection) -> Outcome:
    """Accepts the request of this number, 0 = whichever is open. NOT_FOUND."""
    _check_not_blocked(deed, connection)
    if not request and _friends(deed.actor, deed.other, connection):
        return Outcome(FriendReply(deed.other.name, Standing.FRIENDS))
    asked = _open(deed.other, deed.actor, connection)
    if not asked or request not in (0, asked):
        raise no_such_request()
    return _befriend(deed, limits, connection)


def _befriend(deed: Deed, limits: FriendLimits, connection: sqlite3.Connection) -> Outcome:
    """Makes friends of two, one of whom has asked."""
    actor, other = deed.actor, deed.other
    for who in (actor, other):
        if connection.execute(_COUNT_FRIENDS, (who.no,)).fetchone()[0] >= limits.friends:
            whose = "you have" if who is actor else "the user has"
            raise ImError(ErrorCode.CONFLICT, f"{whose} {limits.friends} friends already")
    asked = _open(other, actor, connection)
    connection.execute("DELETE FROM friend_requests WHERE no = ?", (asked,))
    connection.execute("INSERT INTO friendships VALUES (?, ?, ?)", (*_pair(actor, other), deed.at))
    changes = _news(deed, FriendChange.ACCEPTED, connection, asked)
    return Outcome(FriendReply(other.name, Standing.FRIENDS), changes)


def reject(deed: Deed, request: int, connection: sqlite3.Connection) -> Outcome:
    """Closes the request, named as in `accept`. NOT_FOUND."""
    asked = _open(deed.other, deed.actor, connection)
    if not asked or request not in (0, asked):
        raise no_such_request()
    connection.execute("DELETE FROM friend_requests WHERE no = ?", (asked,))
    changes = _news(deed, FriendChange.REJECTED, connection, asked)
    return Outcome(FriendReply(deed.other.name, Standing.NONE), changes)


def delete(deed: Deed, connection: sqlite3.Connection) -> Outcome:
    """Ends the friendship, or takes the actor's request back."""
    actor, other = deed.actor, deed.other
    changes: Sequence[Change] = ()
    asked = _open(actor, other, connection)
    if connection.execute("DELETE FROM friendships WHERE a = ? AND b = ?", _pair(actor, other)).rowcount:
        changes = _news(deed, FriendChange.DELETED, connection)
    elif asked:
        connection.execute("DELETE FROM friend_requests WHERE no = ?", (asked,))
        changes = _news(deed, FriendChange.WITHDRAWN, connection, asked)
    return Outcome(FriendReply(other.name, Standing.NONE), changes)


def block(deed: Deed, blocked: bool, new: bool, connection: sqlite3.Connection) -> Outcome:
    """Blocks or unblocks; `new` False: it is so already."""
    actor, other = deed.actor, deed.other
    changes: Sequence[Change] = ()
    if new and blocked:
        connection.execute("INSERT OR IGNORE INTO blocks VALUES (?, ?, ?)", (actor.no, other.no, deed.at))
        changes = _news(deed, FriendChange.BLOCKED, connection)
    elif new:
        connection.execute("DELETE FROM blocks WHERE user_no = ? AND blocked = ?", (actor.no, other.no))
        changes = _news(deed, FriendChange.UNBLOCKED, connection)
    if blocked:
        return Outcome(FriendReply(other.name, Standing.BLOCKED), changes)
    if _friends(actor, other, connection):
        return Outcome(FriendReply(other.name, Standing.FRIENDS), changes)
    asked = _open(actor, other, connection)
    standing = Standing.REQUESTED if asked else Standing.NONE
    return Outcome(FriendReply(other.name, standing, asked), changes)


def _news(
    deed: Deed, change: FriendChange, connection: sqlite3.Connection, request: int = 0, message: str = ""
) -> list[Change]:
    """Writes a change; for the other one, too, unless it is a block, or that one has blocked the actor."""
    actor, other = deed.actor, deed.other
    users = [actor]
    if change not in (FriendChange.BLOCKED, FriendChange.UNBLOCKED) and not _blocks(other, actor, connection):
        users.append(other)
    record = FriendRecord(change.value, other.name, actor.name, deed.at, request, message)
    change_id = write_change(connection, deed.at, record, [who.no for who in users])
    return [Change(change_id, record.event(0), [who.name for who in users], origin=deed.origin)]


def _check_not_blocked(deed: Deed, connection: sqlite3.Connection) -> None:
    if _blocks(deed.actor, deed.other, connection):
        raise ImError(ErrorCode.FORBIDDEN, "you have blocked this user")


def _blocks(who: Who, other: Who, connection: sqlite3.Connection) -> bool:
    row = connection.execute("SELECT 1 FROM blocks WHERE user_no = ? AND blocked = ?", (who.no, other.no))
    return row.fetchone() is not None


def _friends(one: Who, other: Who, connection: sqlite3.Connection) -> bool:
    row = connection.execute("SELECT 1 FROM friendships WHERE a = ? AND b = ?", _pair(one, other))
    return row.fetchone() is not None


def _open(asker: Who, asked: Who, connection: sqlite3.Connection) -> int:
    """The number of an open request; 0 = there is none."""
    row = connection.execute(
        "SELECT no FROM friend_requests WHERE asker = ? AND asked = ?", (asker.no, asked.no)
    ).fetchone()
    return 0 if row is None else int(row[0])


def _pair(one: Who, other: Who) -> tuple[int, int]:
    return (one.no, other.no) if one.no < other.no else (other.no, one.no)


def no_such_request() -> ImError:
    """What is answered where no such request is open."""
    return ImError(ErrorCode.NOT_FOUND, "there is no such request")


def list_of(connection: sqlite3.Connection, user_no: int) -> FriendList:
    """A user's friends, open requests and blocks."""
    blocked = connection.execute(_BLOCKED, (user_no,)).fetchall()
    hidden = {no for _, _, no in blocked}

    def requests(sql: str) -> list[FriendRequest]:
        rows: list[tuple[Any, ...]] = connection.execute(sql, (user_no,)).fetchall()
        return [
            FriendRequest(no, name, message, at) for no, name, message, at, who in rows if who not in hidden
        ]

    return FriendList(
        [
            Friend(name, since)
            for name, since, no in connection.execute(_FRIENDS, (user_no,))
            if no not in hidden
        ],
        requests(_RECEIVED),
        requests(_SENT),
        [BlockedUser(name, at) for name, at, _ in blocked],
    )


class Around(NamedTuple):
    """What is near a user.

    Attributes:
        friends, blocks, blocked_by: see `ports.friends.Circle`.
        partners: with whom there is a single conversation, the user as well.
        groups: ids of the user's groups.
    """

    friends: list[str]
    blocks: list[str]
    blocked_by: list[str]
    partners: list[str]
    groups: list[str]


def around(connection: sqlite3.Connection, user_no: int) -> Around:
    """Looked up at once: it is done whenever a user comes or goes."""
    found = Around([], [], [], [], [])
    for which, name in connection.execute(_AROUND, (user_no,)):
        found[which].append(name)
    return found
