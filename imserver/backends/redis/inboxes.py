"""Reading inboxes and conversations: pages come from one script each, so they are of one moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from imserver.backends.common.page_bytes import page_bytes
from imserver.backends.redis.core import Core
from imserver.backends.redis.records import decode_stored, message_of
from imserver.backends.redis.scripts import Script, lua
from imserver.backends.redis.targets import refusal_of, target_of
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import GROUP_PREFIX, group_name, single_name
from imserver.model.messages import InboxPage, InboxRow, Message, MessagePage, ReadHistory
from imserver.services.ports import Conversation

INBOX = Script("inbox", *lua("lists", "inbox"))
HEAD = Script("head", *lua("lists", "head"))
HISTORY = Script("history", *lua("lists", "pairs", "targets", "history"))
RESOLVE = Script("resolve", *lua("pairs", "targets", "resolve"))

_SEQ_CURSOR = re.compile(r"[0-9]{1,18}")
_POSITION_CURSOR = re.compile(r"c:([0-9]{1,18})")
_HIGHEST = 2**53 - 1
"""Beyond it a script cannot count; nothing goes so far."""


class _Rows(Struct, frozen=True):
    rows: list[InboxRow]
    more: bool


class Inboxes:
    """Pages of inboxes and of history."""

    def __init__(self, core: Core, epoch: Any) -> None:
        self._core = core
        self._epoch = epoch

    async def head(self, user: str) -> tuple[int, int]:
        """See `Store.head`."""
        head, first = await self._core.redis.script(HEAD, (), (user,))
        self._core.heads.seen(user, head)
        return head, first

    async def inbox(self, user: str, after: int, at_least: int, limit: int, max_bytes: int) -> InboxPage:
        """See `Store.inbox`."""
        core = self._core
        first = min(max(after + 1, at_least), _HIGHEST)

        async def read() -> InboxPage:
            epoch = self._epoch()
            reply = await core.redis.script(INBOX, (), (user, first, max(limit, 1), max_bytes))
            head, first_seq, more = reply[:3]
            page = _cut(reply[3:], bool(more), limit, max_bytes, user, with_seq=True)
            core.heads.seen(user, head)
            return InboxPage(page.rows, head, first_seq, page.more, epoch)

        return await core.taken_back.read(read, _messages)

    async def history(self, user: str, query: ReadHistory, limit: int, max_bytes: int) -> MessagePage:
        """See `Store.history`."""
        if not (query.conversation or query.recipient or query.group):
            return await self._whole_inbox(user, query, limit, max_bytes)
        words = _history_words(user, query)
        after = _position(query.since)

        async def read() -> MessagePage:
            reply = await self._core.redis.script(
                HISTORY, (), (user, *words, after, max(limit, 1), max_bytes)
            )
            if isinstance(reply, bytes):
                raise refusal_of(reply)
            head, more = reply[:2]
            if after > head:
                raise _never_given_out()
            page = _cut(reply[2:], bool(more), limit, max_bytes, user, with_seq=False)
            last = page.rows[-1].message.position if page.rows else after
            return MessagePage(page.rows, f"c:{last}", page.more)

        return await self._core.taken_back.read(read, _messages)

    async def _whole_inbox(self, user: str, query: ReadHistory, limit: int, max_bytes: int) -> MessagePage:
        if query.since and _SEQ_CURSOR.fullmatch(query.since) is None:
            raise _never_given_out()
        after = int(query.since or 0)
        page = await self.inbox(user, after, 0, limit, max_bytes)
        if page.rows:
            after = page.rows[-1].seq
        return MessagePage(page.rows, str(after), page.has_more)

    async def resolve(self, user: str, conversation: str, recipient: str, group: str) -> Conversation:
        """See `Store.resolve`."""
        kind, target, name = target_of(user, conversation, recipient, group)
        reply = await self._core.redis.script(RESOLVE, (), (user, kind, target))
        if isinstance(reply, bytes):
            raise refusal_of(reply)
        peer, gid, own = reply[0].decode(), reply[1].decode(), reply[2]
        members = tuple(member.decode() for member in reply[3:])
        if gid:
            return Conversation(group_name(gid), group_name(gid), "", gid, members)
        canonical = single_name(user, peer)
        return Conversation(canonical, (target if own else name) or canonical, peer, "", members)


def _cut(found: list[Any], more: bool, limit: int, max_bytes: int, reader: str, *, with_seq: bool) -> _Rows:
    """Reads (number, message, ...) as far as a page of so many bytes may go; at least one row."""
    rows: list[InboxRow] = []
    size = 0
    for number, stored in zip(found[::2], found[1::2], strict=True):
        message = message_of(decode_stored(stored), reader)
        size += page_bytes(message)
        if rows and size > max_bytes:
            return _Rows(rows, True)
        rows.append(InboxRow(number if with_seq else 0, message))
    return _Rows(rows, more)


def _messages(page: InboxPage | MessagePage) -> Iterator[Message]:
    return (row.message for row in page.rows)


def _history_words(user: str, query: ReadHistory) -> tuple[str, str, str, int]:
    """(kind, target, the group that may be meant, whether nothing else can be)."""
    name, group = query.conversation, query.group
    certain = bool(group) or name.startswith(GROUP_PREFIX)
    gid = "" if query.recipient else group or name.removeprefix(GROUP_PREFIX)
    if gid and certain:
        return "g", gid, gid, 1
    kind, target, _ = target_of(user, name, query.recipient, group)
    return kind, target, gid, 0


def _never_given_out() -> ImError:
    return ImError(ErrorCode.BAD_REQUEST, "the cursor was never given out")


def _position(since: str) -> int:
    if not since:
        return 0
    match = _POSITION_CURSOR.fullmatch(since)
    if match is None:
        raise _never_given_out()
    return int(match[1])
