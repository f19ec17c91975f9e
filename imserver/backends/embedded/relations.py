"""Who has blocked whom, and who is whose friend, in memory: what a send is decided on.

A user's sets are read when they are first needed and stay with the user. One who has blocked
nobody has `NOBODY` itself, so that looking costs a send two comparisons.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from imserver.backends.embedded.entities import User
from imserver.model.errors import ErrorCode, ImError

NOBODY: Final[frozenset[int]] = frozenset()

_FRIENDS = "SELECT b FROM friendships WHERE a = ?1 UNION ALL SELECT a FROM friendships WHERE b = ?1"


def blocks_of(connection: sqlite3.Connection, user: User) -> frozenset[int]:
    """Whom a user has blocked; decisions on their way to the disk count already."""
    if user.blocks is None:
        rows = connection.execute("SELECT blocked FROM blocks WHERE user_no = ?", (user.no,))
        user.blocks = frozenset(no for (no,) in rows) or NOBODY
    return user.blocks


def friends_of(connection: sqlite3.Connection, user: User) -> frozenset[int]:
    """A user's friends, as far as they are durable."""
    if user.friends is None:
        rows = connection.execute(_FRIENDS, (user.no,))
        user.friends = frozenset(no for (no,) in rows) or NOBODY
    return user.friends


def are_apart(connection: sqlite3.Connection, one: User, other: User) -> bool:
    """Whether either has blocked the other."""
    return other.no in blocks_of(connection, one) or one.no in blocks_of(connection, other)


def check_may_write(connection: sqlite3.Connection, sender: User, peer: User, friends_only: bool) -> None:
    """Whether a message may go from one user to another one.

    Raises:
        ImError: FORBIDDEN. The sender is not told whether a block or the lack of a friendship is why.
    """
    if peer.no in blocks_of(connection, sender):
        raise ImError(ErrorCode.FORBIDDEN, "you have blocked this user")
    if sender.no in blocks_of(connection, peer) or (
        friends_only and peer.no not in friends_of(connection, sender)
    ):
        raise ImError(ErrorCode.FORBIDDEN, "this user takes no messages from you")
