"""A user's conversations, the one with the newest message first.

Read in two steps: what is known of each conversation's last row; then, once the page is cut, the
messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from msgspec import Struct

from imserver.backends.common.page_bytes import page_bytes
from imserver.backends.redis.core import Core
from imserver.backends.redis.records import decode_stored, message_of
from imserver.backends.redis.scripts import Script, lua
from imserver.model.conversations import ConversationPage, Summary
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import group_name, single_name
from imserver.model.messages import Message

LISTING = Script("listing", *lua("lists", "pairs", "listing"))
MESSAGES = Script("messages", *lua("lists", "messages"))

_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


class _Found(Struct, frozen=True, gc=False):
    """A conversation; `position` and `no` are those of its last message, 0 if it has none."""

    peer: str
    group: str
    title: str
    joined: int
    position: int
    no: int
    order: int

    @property
    def rank(self) -> tuple[int, int]:
        """Its place in the list; those without a message have none, so they are in any order that stays."""
        return self.no, self.order


class Listings:
    """The part of `Store` that lists conversations."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def conversations(self, user: str, after: str, limit: int, max_bytes: int) -> ConversationPage:
        """See `Store.conversations`."""
        before = _before(after)
        reply = await self._core.redis.script(LISTING, (), (user,))
        found = [
            _Found(peer.decode(), group.decode(), title.decode(), joined, position, no, _order(peer, group))
            for peer, group, title, joined, position, no in zip(*[iter(reply)] * 6, strict=True)
        ]
        found = [one for one in found if before is None or one.rank < before]
        found.sort(key=lambda one: one.rank, reverse=True)

        async def read() -> list[Summary]:
            return await self._summaries(found[: max(limit, 1)], user, max_bytes)

        page = await self._core.taken_back.read(read, _messages)
        if page:
            no, order = found[len(page) - 1].rank
            after = f"{no}-{order}"
        return ConversationPage(page, after, len(page) < len(found))

    async def _summaries(self, found: Sequence[_Found], user: str, max_bytes: int) -> list[Summary]:
        seen = [one.no for one in found if one.no and one.position > one.joined]
        stored = dict(zip(seen, await self._core.redis.script(MESSAGES, (), seen), strict=True))
        summaries: list[Summary] = []
        size = 0
        for one in found:
            message = None
            body = stored.get(one.no)
            if body is not None:
                message = message_of(decode_stored(body), user)
                size += page_bytes(message)
                if summaries and size > max_bytes:
                    break
            name = group_name(one.group) if one.group else single_name(user, one.peer)
            summaries.append(Summary(name, one.peer, one.group, one.title, one.position, message))
        return summaries


def _messages(page: list[Summary]) -> Iterator[Message]:
    return (summary.last for summary in page if summary.last is not None)


def _order(peer: bytes, group: bytes) -> int:
    """A number of a conversation's own, below 10^18."""
    name = b"g" + group if group else b"u" + peer
    return int.from_bytes(blake2b(name, digest_size=7).digest(), "big")


def _before(cursor: str) -> tuple[int, int] | None:
    if not cursor:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ImError(ErrorCode.BAD_REQUEST, "the cursor was never given out")
    return int(match[1]), int(match[2])
