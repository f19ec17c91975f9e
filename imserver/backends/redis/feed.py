"""The feed on this node: what is committed anywhere and concerns somebody here comes over a channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.redis.change_log import ChangeRecord, Record
from imserver.backends.redis.core import Core
from imserver.backends.redis.keys import FEED
from imserver.backends.redis.listings import MESSAGES
from imserver.backends.redis.own_sends import OwnSend
from imserver.backends.redis.records import Stored, decode_stored, message_of
from imserver.backends.redis.subscriber import Subscriber
from imserver.model.errors import ImError
from imserver.services.ports import Change, Entry

REPAIRED_AT_ONCE = 200
RETRY_SECONDS = 1.0

_NOBODY: frozenset[str] = frozenset()


class EntryNews(Struct, array_like=True, frozen=True, tag=0):
    """A message in inboxes (lua/feed.lua)."""

    users: list[str]
    seqs: list[int]
    origin: str
    message: Stored


class ChangeNews(Struct, array_like=True, frozen=True, tag=1):
    """A change (lua/changes.lua).

    Attributes:
        heard: which of the users this node hears of, as indexes from 1; None = all.
    """

    number: int
    users: list[str]
    renamed: list[str]
    origin: str
    body: Record
    heard: list[int] | None = None


_decode = msgspec.msgpack.Decoder(EntryNews | ChangeNews).decode


class Feed:
    """Hands what is heard to the sink, in the order in which it was committed."""

    _log = Logger()

    def __init__(self, core: Core, subscriber: Subscriber) -> None:
        self._core = core
        self._subscriber = subscriber
        self._missed = True  # a connection that breaks before it was whole is not told of
        self._repairing = False
        self._parted = False
        self._stopped = False
        self._retry: IDelayedCall | None = None
        subscriber.watch(self._whole, self._broken)
        core.redis.watch(self._reached, self._lost)

    def listen(self, node: str) -> Deferred[None]:
        """Listens to what concerns a node; fires once that is heard for the first time."""
        self._interrupted()
        channel = f"{self._core.redis.channels}{FEED}{node}"
        return self._subscriber.subscribe(channel.encode(), self._heard)

    # Losses

    def _whole(self) -> None:
        self._core.hearing = True
        self._repair()

    def _broken(self) -> None:
        self._core.hearing = False
        self._interrupted()

    def _interrupted(self) -> None:
        self._missed = True
        if self._core.sink is not None:
            self._core.sink.interrupted()

    def _reached(self) -> None:
        self._repair()

    def _lost(self) -> None:
        self._core.own_sends.unanswered_is_lost()
        # All was heard, perhaps; but who was just reading was refused, and waits for a sign.
        self._missed = True

    def missed(self) -> None:
        """Something that concerns this node was published elsewhere, or not at all."""
        self._interrupted()
        self._repair()

    def parted(self) -> None:
        """The others take this node for lost; until it takes part again it may hear of some things only."""
        self._parted = True
        self._interrupted()

    def rejoined(self) -> None:
        """It takes part again, and its users are entered again."""
        self._parted = False
        self.missed()

    def _repair(self) -> None:
        """Has the sessions look for themselves, once they can, and once they will hear what comes after."""
        core = self._core
        if (
            self._missed
            and not self._repairing
            and core.hearing
            and core.redis.connected
            and not self._stopped
        ):
            self._repairing = True
            self._missed = False
            ensureDeferred(self._tell_missed()).addErrback(self._not_repaired)

    async def _tell_missed(self) -> None:
        core = self._core
        again = 0.0
        try:
            # What was done before all could be heard again is answered before this.
            await core.redis.call("PING")
            await self._tell_own(core.own_sends.take_unheard())
            if self._parted:
                self._missed, again = True, RETRY_SECONDS
            elif not self._missed and core.sink is not None:  # nor has more been missed meanwhile
                core.sink.missed()
        except ImError:
            self._missed = True
            again = RETRY_SECONDS
        finally:
            self._repairing = False
        if self._missed and not self._stopped:
            self._retry = core.clock.callLater(again, self._repair)

    async def _tell_own(self, unheard: list[OwnSend]) -> None:
        core = self._core
        try:
            while unheard:
                some = unheard[:REPAIRED_AT_ONCE]
                found = await core.redis.script(MESSAGES, (), [one.no for one in some])
                del unheard[: len(some)]
                if core.sink is not None:
                    core.sink.committed(list(_own_entries(some, found)))
        finally:
            core.own_sends.keep(unheard)

    def _not_repaired(self, failure: Failure) -> None:
        self._log.failure("what was missed could not be told", failure=failure)

    def stop(self) -> None:
        """Repairs nothing more."""
        self._stopped = True
        if self._retry is not None and self._retry.active():
            self._retry.cancel()

    # What comes

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
                if news.origin:
                    core.own_sends.heard(stored.no)
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
        heard = None
        if news.heard is not None and len(news.heard) < len(news.users):
            heard = frozenset(news.users[index - 1] for index in news.heard)
        change = Change(news.number, record.event(""), news.users, renamed, news.origin, heard)
        assert core.sink is not None
        core.sink.changed([change])


def _own_entries(sends: Sequence[OwnSend], found: Sequence[bytes | None]) -> Iterator[Entry]:
    """Entries in their senders' inboxes alone: all that concerns others is read from there."""
    for send, stored in zip(sends, found, strict=True):
        if stored is not None:
            message = decode_stored(stored)
            renamed = frozenset(message.renamed) if message.renamed else _NOBODY
            yield Entry(message_of(message), [(send.user, send.seq)], renamed, send.session)
