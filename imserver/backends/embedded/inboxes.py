"""Reading inboxes and conversations: what is visible, where it is, and whose names it bears."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import partial

from imserver.backends.embedded.core import Core
from imserver.backends.embedded.entities import User
from imserver.backends.embedded.journal import unavailable
from imserver.backends.embedded.log_rows import LogReader
from imserver.backends.embedded.pages import CONVERSATION, INBOX, Page, Span, fanout_of, first_kept, read_page
from imserver.backends.embedded.records import MessageRecord, offset_in_id, unpack_offsets
from imserver.backends.embedded.state import State
from imserver.backends.embedded.tails import TailIndex
from imserver.backends.embedded.targets import resolve
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import GROUP_PREFIX
from imserver.model.messages import InboxPage, Message, MessagePage, ReadHistory

_SEQ_CURSOR = re.compile(r"[0-9]{1,18}")
_POSITION_CURSOR = re.compile(r"c:([0-9]{1,18})")


def visible_head(state: State, user: User) -> int:
    """The highest committed number of an inbox."""
    return state.inboxes.visible(user.no, user.head, state.committed)


def first_seq(core: Core, user: User) -> int:
    """The first number of an inbox that is still kept; one more than the head if none is."""
    state = core.state
    if state.floor <= 1:
        return 1
    if user.first_floor != state.floor:
        first = first_kept(core.reader, "inbox_index", user.no, state.floor)
        if not first:
            tail = state.inboxes.tails.get(user.no)
            first = tail.base if tail is not None else user.head + 1
            if tail is None:
                # Nothing kept: the next row will be, so this must be computed again then.
                return first
        user.first = first
        user.first_floor = state.floor
    return user.first


def number_of_message(core: Core, user: User, message_id: str) -> int:
    """The number of a message in an inbox; 0 if it is not in it."""
    state = core.state
    offset = offset_in_id(message_id)
    if not offset or offset > state.committed:
        return 0
    known = state.id_in_tail(offset)
    if known is None:
        record = LogReader(core.reader).record(offset)
        known = record.message_id if isinstance(record, MessageRecord) else None
    if known != message_id:
        return 0
    number = _number_at(core, user, offset)
    if number:
        return number
    # A broadcast is in the inbox by the row of its fan-out.
    fanout = fanout_of(core.reader, offset, user.no)
    return _number_at(core, user, fanout) if fanout else 0


def _number_at(core: Core, user: User, offset: int) -> int:
    number = core.state.inboxes.number_at(user.no, offset)
    if number:
        return number
    row = core.reader.execute(
        "SELECT first, offsets FROM inbox_index WHERE no = ? AND last_offset >= ? ORDER BY first LIMIT 1",
        (user.no, offset),
    ).fetchone()
    if row is None:
        return 0
    offsets = unpack_offsets(row[1])
    index = bisect_left(offsets, offset)
    if index < len(offsets) and offsets[index] == offset:
        return int(row[0]) + index
    return 0


class Inboxes:
    """Pages of inboxes and of history."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def head(self, user: str) -> tuple[int, int]:
        """See `Store.head`."""
        found = self._core.state.user(user)
        if found is None:
            return 0, 1
        return visible_head(self._core.state, found), first_seq(self._core, found)

    async def inbox(self, user: str, after: int, at_least: int, limit: int, max_bytes: int) -> InboxPage:
        """See `Store.inbox`."""
        core = self._core
        owner = core.state.user(user)
        if owner is None:
            return InboxPage([], 0, 1, False, core.epoch)
        floor = core.state.floor
        first = max(after + 1, at_least, first_seq(core, owner))
        head = visible_head(core.state, owner)
        page = await self._page(
            INBOX, core.state.inboxes, owner.no, [(first, head)], limit, max_bytes, owner.no, True
        )
        rows = page.rows
        if not rows and core.state.floor != floor:
            # Retention took all of it meanwhile; there may be more behind.
            return await self.inbox(user, after, at_least, limit, max_bytes)
        owner = core.state.user(user) or owner
        more = page.more or bool(rows and rows[-1].seq < head)
        return InboxPage(
            rows, max(head, rows[-1].seq if rows else 0), first_seq(core, owner), more, core.epoch
        )

    async def history(self, user: str, query: ReadHistory, limit: int, max_bytes: int) -> MessagePage:
        """See `Store.history`."""
        if not (query.conversation or query.recipient or query.group):
            return await self._whole_inbox(user, query, limit, max_bytes)
        core = self._core
        owner = core.state.user(user)
        if owner is None:
            raise ImError(ErrorCode.CONVERSATION_NOT_FOUND, "there is no such conversation")
        floor = core.state.floor
        no, head, intervals = self._intervals(owner, query)
        after = max(_position(query.since, head), self._first_position(no, head) - 1)
        spans = [(max(low + 1, after + 1), min(high, head)) for low, high in intervals]
        page = await self._page(
            CONVERSATION, core.state.conversations, no, spans, limit, max_bytes, owner.no, False
        )
        if not page.rows and core.state.floor != floor:
            return await self.history(user, query, limit, max_bytes)
        if page.rows:
            after = page.rows[-1].message.position
        return MessagePage(page.rows, f"c:{after}", page.more)

    async def _whole_inbox(self, user: str, query: ReadHistory, limit: int, max_bytes: int) -> MessagePage:
        if query.since and _SEQ_CURSOR.fullmatch(query.since) is None:
            raise ImError(ErrorCode.BAD_REQUEST, "the cursor was never given out")
        after = int(query.since or 0)
        page = await self.inbox(user, after, 0, limit, max_bytes)
        if page.rows:
            after = page.rows[-1].seq
        return MessagePage(page.rows, str(after), page.has_more)

    def _intervals(self, owner: User, query: ReadHistory) -> tuple[int, int, list[tuple[int, int]]]:
        """(conversation number, visible head, what the asker may see of it as (after, up to) positions)."""
        core, state = self._core, self._core.state
        gid = query.group or _group_in_name(state, owner, query.conversation)
        if gid and not query.recipient:
            row = core.reader.execute("SELECT no FROM groups WHERE gid = ?", (gid,)).fetchone()
            intervals: list[tuple[int, int]] = []
            if row is not None:
                intervals = [
                    (joined, left)
                    for joined, left in core.reader.execute(
                        "SELECT joined_pos, coalesce(left_pos, 9223372036854775807) FROM memberships"
                        " WHERE no = ? AND user_no = ? ORDER BY id",
                        (row[0], owner.no),
                    )
                ]
            if intervals:
                return int(row[0]), state.visible_position(row[0]), intervals
            if query.group or query.conversation.startswith(GROUP_PREFIX):
                raise ImError(ErrorCode.CONVERSATION_NOT_FOUND, "there is no such conversation")
        peer, group, _ = resolve(state, owner, query.conversation, query.recipient, query.group)
        if peer is None:
            # A bare id of a group that was joined a moment ago.
            assert group is not None
            return group.no, state.visible_position(group.no), [(group.members[owner.no].joined_pos, 1 << 62)]
        pair = state.pair(owner.no, peer.no)
        if pair is None:
            return 0, 0, []
        return pair.no, state.visible_position(pair.no), [(0, 1 << 62)]

    def _first_position(self, no: int, head: int) -> int:
        """The first position of a conversation that is still kept; one more than the head if none is."""
        state = self._core.state
        if state.floor <= 1:
            return 1
        kept = first_kept(self._core.reader, "conversation_index", no, state.floor)
        tail = state.conversations.tails.get(no)
        return kept or (tail.base if tail is not None else head + 1)

    async def _page(
        self,
        sql: str,
        index: TailIndex,
        no: int,
        ranges: list[tuple[int, int]],
        limit: int,
        max_bytes: int,
        reader_no: int,
        with_seq: bool,
    ) -> Page:
        limit = max(limit, 1)
        spans = []
        for first, last in ranges:
            if first <= last:
                spans.append(Span(first, last, *index.cut(no, first, min(last, first + limit))))
        if not spans:
            return Page([], 0, False)
        read = partial(self._core.read, read_page, sql, no, spans, limit, max_bytes, reader_no, with_seq)
        page: Page = await self._core.taken_back.read(read, _messages)
        if page.missing >= self._core.state.floor:
            raise unavailable("the message store is damaged")
        return page


def _messages(page: Page) -> Iterator[Message]:
    return (row.message for row in page.rows)


def _group_in_name(state: State, owner: User, name: str) -> str:
    """The group a name may mean: by its canonical name, or as a bare id unless it is an own name."""
    if name.startswith(GROUP_PREFIX):
        return name[len(GROUP_PREFIX) :]
    return "" if state.names_of(owner, name) else name


def _position(since: str, head: int) -> int:
    if not since:
        return 0
    match = _POSITION_CURSOR.fullmatch(since)
    if match is None or int(match[1]) > head:
        raise ImError(ErrorCode.BAD_REQUEST, "the cursor was never given out")
    return int(match[1])
