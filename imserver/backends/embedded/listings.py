"""A user's conversations, the one with the newest message first.

Read in two steps: what the disk knows of each conversation's last row; then,
once the tails in memory had their say and the page is cut, the messages.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial

from msgspec import Struct

from imserver.backends.common.page_bytes import page_bytes
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.log_rows import LogReader
from imserver.backends.embedded.pages import read_message
from imserver.backends.embedded.records import message_of
from imserver.backends.embedded.tails import TailIndex
from imserver.model.conversations import ConversationPage, Summary
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import group_name, single_name
from imserver.model.messages import Message

_PAIRS = (
    "SELECT p.no, u.name FROM pairs p JOIN users u ON u.no = p.b WHERE p.a = ?1"
    " UNION ALL SELECT p.no, u.name FROM pairs p JOIN users u ON u.no = p.a WHERE p.b = ?1 AND p.a <> ?1"
)
_GROUPS = (
    "SELECT g.no, g.gid, g.name, m.joined_pos FROM memberships m JOIN groups g ON g.no = m.no"
    " WHERE m.user_no = ? AND m.left_pos IS NULL AND g.deleted_at IS NULL"
)
_LAST = (
    "SELECT first + length(offsets) / 8 - 1, last_offset FROM conversation_index"
    " WHERE no = ? ORDER BY first DESC LIMIT 1"
)
_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


class _Found(Struct, gc=False):
    """A conversation; `position` and `offset` are those of its last row, 0 if it has none."""

    no: int
    peer: str
    group: str
    title: str
    joined: int
    position: int
    offset: int


class Listings:
    """The part of `Store` that lists conversations."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def conversations(self, user: str, after: str, limit: int, max_bytes: int) -> ConversationPage:
        """See `Store.conversations`."""
        before = _before(after)
        owner = self._core.state.user(user)
        if owner is None:
            return ConversationPage([], after, False)
        no = owner.no
        while True:
            indexed = self._core.state.indexed_upto
            found: list[_Found] = await self._core.read(_conversations, no)
            state = self._core.state
            if state.indexed_upto == indexed:
                break
            # What was in memory before went to the disk behind this read; it may be in neither now.
        for one in found:
            _look_into_tail(one, state.conversations, state.committed)
        found = [one for one in found if before is None or (one.offset, one.no) < before]
        found.sort(key=lambda one: (one.offset, one.no), reverse=True)
        read = partial(self._core.read, _summaries, found[:limit], user, no, max_bytes)
        page: list[Summary] = await self._core.taken_back.read(read, _messages)
        if page:
            last = found[len(page) - 1]
            after = f"{last.offset}-{last.no}"
        return ConversationPage(page, after, len(page) < len(found))


def _messages(page: list[Summary]) -> Iterator[Message]:
    return (summary.last for summary in page if summary.last is not None)


def _before(cursor: str) -> tuple[int, int] | None:
    if not cursor:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ImError(ErrorCode.BAD_REQUEST, "the cursor was never given out")
    return int(match[1]), int(match[2])


def _look_into_tail(one: _Found, index: TailIndex, committed: int) -> None:
    tail = index.tails.get(one.no)
    if tail is None:
        return
    position = index.visible(one.no, index.last(one.no), committed)
    if position >= tail.base:
        one.position, one.offset = position, tail.offsets[position - tail.base]


def _conversations(connection: sqlite3.Connection, user_no: int) -> list[_Found]:
    found = [_Found(no, peer, "", peer, 0, 0, 0) for no, peer in connection.execute(_PAIRS, (user_no,))]
    found += [
        _Found(no, "", gid, name, joined, 0, 0)
        for no, gid, name, joined in connection.execute(_GROUPS, (user_no,))
    ]
    for one in found:
        row = connection.execute(_LAST, (one.no,)).fetchone()
        if row is not None:
            one.position, one.offset = row
    return found


def _summaries(
    connection: sqlite3.Connection, found: Sequence[_Found], user: str, user_no: int, max_bytes: int
) -> list[Summary]:
    summaries: list[Summary] = []
    log = LogReader(connection)
    size = 0
    for one in found:
        message = None
        if one.offset and one.position > one.joined:
            record = read_message(log, one.offset)
            if record is not None:
                message = message_of(record, user_no)
                size += page_bytes(message)
                if summaries and size > max_bytes:
                    break
        name = group_name(one.group) if one.group else single_name(user, one.peer)
        summaries.append(Summary(name, one.peer, one.group, one.title, one.position, message))
    return summaries
