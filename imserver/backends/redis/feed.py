"""The feed on this node: what is committed anywhere and concerns somebody here comes over a channel."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred

from imserver.backends.redis.change_log import ChangeRecord, Record
from imserver.backends.redis.core import Core
from imserver.backends.redis.keys import FEED
from imserver.backends.redis.records import Stored, message_of
from imserver.backends.redis.subscriber import Subscriber
from imserver.services.ports import Change, Entry

_NOBODY: frozenset[str] = frozenset()


class EntryNews(Struct, array_like=True, frozen=True, tag=0):
    """A message in inboxes (lua/feed.lua)."""

    users: list[str]
    seqs: list[int]
    origin: str
    message: Stored


class ChangeNews(Struct, array_like=True, frozen=True, tag=1):
    """A change (lua/changes.lua)."""

    number: int
    users: list[str]
    renamed: list[str]
    origin: str
    body: Record


_decode = msgspec.msgpack.Decoder(EntryNews | ChangeNews).decode


class Feed:
    """Hands what is heard to the sink, in the order in which it was committed."""

    def __init__(self, core: Core, subscriber: Subscriber) -> None:
        self._core = core
        self._subscriber = subscriber
        subscriber.watch(self._whole, self._broken)

    def listen(self, node: str) -> Deferred[None]:
        """Listens to what concerns a node; fires once nothing is missed any more."""
        channel = f"{self._core.redis.channels}{FEED}{node}"
        return self._subscriber.subscribe(channel.encode(), self._heard)

    def _whole(self) -> None:
        self._core.hearing = True

    def _broken(self) -> None:
        self._core.hearing = False

    def _heard(self, payloads: list[bytes]) -> None:
        core = self._core
        sink, heads = core.sink, core.heads
        if sink is None:
            return
        entries: list[Entry] = []
        for payload in payloads:
            news = _decode(payload)
            if type(news) is EntryNews:
                stored = news.message
                recipients = list(zip(news.users, news.seqs, strict=True))
                known = heads.of
                for user, seq in recipients:
                    if user in known:
                        known[user] = seq
                renamed = frozenset(stored.renamed) if stored.renamed else _NOBODY
                core.last = (stored.no, stored.ms, stored.part)
                entries.append(Entry(message_of(stored), recipients, renamed, news.origin))
                continue
            if entries:
                sink.committed(entries)
                entries = []
            self._change(news)
        if entries:
            sink.committed(entries)

    def _change(self, news: ChangeNews) -> None:
        core, record = self._core, news.body
        core.heads.change_seen(news.number)
        if isinstance(record, ChangeRecord) and not record.read:
            core.taken_back.add(record.message_ids[0])
        renamed = frozenset(news.renamed) if news.renamed else _NOBODY
        change = Change(news.number, record.event(""), news.users, renamed, news.origin)
        assert core.sink is not None
        core.sink.changed([change])
