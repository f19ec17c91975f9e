"""Do two stores say the same? Everything is read twice: as it is stored, and as services would read it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct, structs

from imserver.backends.common import portable
from imserver.model.errors import ImError
from imserver.model.messages import ReadHistory
from imserver.services.file_ports import FileStore
from imserver.services.ports import Directory, Store

ROWS = 500
BYTES = 4 << 20
MOST_FAULTS = 20
_ALL = (1 << 128) - 1
_NO_END = 1 << 50
"""More than there are numbers of files."""
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Sums:
    """How many things of each kind there are, and a digest of them in any order."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.deliveries = 0
        self._sums: dict[str, int] = {}

    def add(self, thing: portable.Thing) -> None:
        """One more."""
        kind = type(thing).__name__
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if isinstance(thing, portable.Letter | portable.Copies):
            self.deliveries += len(thing.to)
        digest = blake2b(_encode(_essence(thing)), digest_size=16).digest()
        self._sums[kind] = (self._sums.get(kind, 0) + int.from_bytes(digest, "big")) & _ALL

    def differences(self, other: Sums) -> list[str]:
        """What is not the same, one line each."""
        return [
            f"{kind}: {self.counts.get(kind, 0)} here, {other.counts.get(kind, 0)} there, or not the same"
            for kind in sorted(self.counts.keys() | other.counts.keys())
            if self.counts.get(kind) != other.counts.get(kind) or self._sums[kind] != other._sums[kind]
        ]


def _essence(thing: portable.Thing) -> Any:
    """A thing without what the other engine does not keep, in one order."""
    if isinstance(thing, portable.Letter):
        to = [thing.to[0], *sorted(thing.to[1:])] if thing.to else []
        sent_at = thing.sent_at or thing.ms / 1000
        return structs.replace(thing, format="", to=to, renamed=sorted(thing.renamed), sent_at=sent_at)
    if isinstance(thing, portable.Copies):
        return structs.replace(thing, to=sorted(thing.to))
    if isinstance(thing, portable.Pair):
        one, other = sorted((thing.one, thing.other))
        return structs.replace(thing, one=one, other=other, names=sorted(thing.names))
    if isinstance(thing, portable.Friendship):
        one, other = sorted((thing.one, thing.other))
        return structs.replace(thing, one=one, other=other)
    if isinstance(thing, portable.ChangeRow):
        users = None if thing.users is None else sorted(thing.users)
        return structs.replace(thing, at=0.0, users=users)
    if isinstance(thing, portable.Sent):
        return structs.replace(thing, deliveries=sorted(thing.deliveries))
    if isinstance(thing, portable.Numbers):
        return structs.replace(thing, part=0)
    if isinstance(thing, portable.Team):
        spans = sorted((user, after, -1 if upto is None else upto) for user, after, upto in thing.intervals)
        if not thing.live:
            return thing.group, spans, thing.head
        return structs.replace(thing, intervals=spans, invited=sorted(thing.invited))
    return thing


class Side(Struct, frozen=True):
    """One of the two, by the ports through which services read it."""

    store: Store
    directory: Directory
    files: FileStore


class Comparison:
    """Reads everybody's everything on both sides.

    Args:
        groups: every group, by those who are or were its members.
        untold: numbers of changes that only one side has.
    """

    def __init__(self, one: Side, other: Side, groups: dict[str, list[str]], untold: set[int]) -> None:
        self._one = one
        self._other = other
        self._groups = groups
        self._untold = untold
        self.faults: list[str] = []
        self.rows = 0

    async def run(self, progress: Callable[[int], None]) -> None:
        """Fills `faults`."""
        after, done = "", 0
        while len(self.faults) < MOST_FAULTS:
            page = await self._one.directory.accounts(after, ROWS)
            if page != await self._other.directory.accounts(after, ROWS):
                self.faults.append(f"the accounts after {after!r} are not the same")
            for account in page:
                await self._compare(account.user)
                done += 1
                progress(done)
            if len(page) < ROWS:
                break
            after = page[-1].user
        for group in sorted({gid for gids in self._groups.values() for gid in gids}):
            if await self._one.directory.group(group) != await self._other.directory.group(group):
                self.faults.append(f"group {group}: is not the same")
        if await self._digest(_all_files, self._one) != await self._digest(_all_files, self._other):
            self.faults.append("what all files take, or which were not told of, is not the same")

    async def _compare(self, user: str) -> None:
        for what, read in self._readings(user):
            mine = await self._digest(read, self._one)
            if mine != await self._digest(read, self._other):
                self.faults.append(f"user {user}: {what}: not the same")

    async def _digest(self, read: Callable[[Side], AsyncIterator[Any]], side: Side) -> tuple[int, bytes]:
        digest, count = blake2b(digest_size=16), 0
        try:
            async for row in read(side):
                digest.update(_encode(row))
                count += 1
        except ImError as error:
            digest.update(error.code.value.encode())
        self.rows += count
        return count, digest.digest()

    def _readings(self, user: str) -> list[tuple[str, Callable[[Side], AsyncIterator[Any]]]]:
        readings: list[tuple[str, Callable[[Side], AsyncIterator[Any]]]] = [
            ("account", lambda side: _single(side.directory.last_seen([user]))),
            ("inbox", lambda side: _inbox(side, user)),
            ("conversations", lambda side: _conversations(side, user)),
            ("changes", lambda side: _changes(side, user, self._untold)),
            ("calls", lambda side: _calls(side, user)),
            ("friends", lambda side: _single(side.directory.list_friends(user))),
            ("groups", lambda side: _single(side.directory.groups_of(user))),
            ("files", lambda side: _files(side, user)),
        ]
        return readings + [
            (f"group {group}", partial(_history, user=user, query=ReadHistory(group=group)))
            for group in self._groups.get(user, ())
        ]


async def _single(reading: Awaitable[Any]) -> AsyncIterator[Any]:
    yield await reading


async def _inbox(side: Side, user: str) -> AsyncIterator[Any]:
    yield await side.store.head(user)
    after, more = 0, True
    while more:
        page = await side.store.inbox(user, after, 0, ROWS, BYTES)
        for row in page.rows:
            yield row
            after = row.seq
        more = page.has_more and bool(page.rows)


async def _history(side: Side, user: str, query: ReadHistory) -> AsyncIterator[Any]:
    more = True
    while more:
        page = await side.store.history(user, query, ROWS, BYTES)
        for row in page.rows:
            yield row
        query = structs.replace(query, since=page.next_cursor)
        more = page.has_more and bool(page.rows)


async def _conversations(side: Side, user: str) -> AsyncIterator[Any]:
    """All of them, and what is in those of two."""
    found: list[Any] = []
    after, more = "", True
    while more:
        page = await side.store.conversations(user, after, ROWS, BYTES)
        found += page.conversations
        after, more = page.next_cursor, page.has_more and bool(page.conversations)
    # Those without a message are in no order that both keep.
    for summary in sorted(found, key=lambda one: one.conversation):
        yield summary
        if summary.peer:
            async for row in _history(side, user, ReadHistory(recipient=summary.peer)):
                yield row


async def _changes(side: Side, user: str, untold: set[int]) -> AsyncIterator[Any]:
    after, found = 0, [(0, None)]
    while found:
        found = list(await side.store.changes(user, after, ROWS))
        for number, event in found:
            if number not in untold:
                yield number, type(event).__name__, event
            after = number


async def _calls(side: Side, user: str) -> AsyncIterator[Any]:
    after, more = "", True
    while more:
        page = await side.store.calls(user, after, ROWS)
        for record in page.calls:
            yield record
        after = page.next_cursor
        more = bool(after)


async def _files(side: Side, user: str) -> AsyncIterator[Any]:
    """What the user sends and is sent, may fetch, and how much of the limits that takes."""
    before, more = _NO_END, True
    while more:
        page = await side.files.transfers(user, before, ROWS)
        for transfer in page:
            yield transfer, await side.files.delivery(transfer.no, user)
            before = transfer.no
        more = len(page) == ROWS
    for transfer in await side.files.offers(user, _NO_END):
        yield transfer, await side.files.delivery(transfer.no, user)
    yield await side.files.usage(user)


async def _all_files(side: Side) -> AsyncIterator[Any]:
    yield await side.files.total_bytes()
    for transfer in sorted(await side.files.unsent(_NO_END), key=lambda one: one.no):
        yield transfer


def lines(faults: Sequence[str]) -> list[str]:
    """As many as anybody reads."""
    return list(faults[:MOST_FAULTS])
