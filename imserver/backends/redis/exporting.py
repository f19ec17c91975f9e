"""All that is under a prefix of a Redis, for another engine. Whoever calls has brought it to rest."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import closing
from hashlib import blake2b
from typing import Any

import msgspec

from imserver.backends.common import portable
from imserver.backends.redis.accounts import grant_of
from imserver.backends.redis.calls import record_of
from imserver.backends.redis.files import FIELDS, transfer_of
from imserver.backends.redis.importing import together
from imserver.backends.redis.keys import pair_key
from imserver.backends.redis.link import Redis
from imserver.backends.redis.packed import unpack
from imserver.backends.redis.records import Stored, decode_stored
from imserver.model.accounts import Account, Role
from imserver.services.file_ports import Delivery

PAGE = 500
ROWS = 5_000
_decode = msgspec.msgpack.Decoder().decode


class RedisSource:
    """See `portable.Source`.

    Args:
        now: the time of day, float seconds.
        dedupe_seconds / change_seconds: how long client ids and changes are kept.
        formats: in which messages may have been sent; Redis knows client ids by them alone.
    """

    def __init__(
        self,
        redis: Redis,
        now: float,
        dedupe_seconds: float,
        change_seconds: float,
        formats: Sequence[str],
    ) -> None:
        self._redis = redis
        self._now = now
        self._dedupe_seconds = dedupe_seconds
        self._change_seconds = change_seconds
        self._formats = formats
        self._users: list[str] = []
        self._log: dict[str, int] = {}
        self._floor = 1

    async def everything(self) -> AsyncIterator[portable.Thing]:
        """See Source."""
        log = _words(await self._call("HGETALL", "log"))
        self._log = {name: int(float(value)) for name, value in log.items()}
        self._floor = max(self._log.get("floor", 1), 1)
        self._users = [name.decode() for name in await self._call("ZRANGE", "users", 0, -1)]
        yield await self._numbers()
        for part in (
            self._people, self._grants, self._groups, self._pairs, self._letters, self._devices,
            self._changes, self._calls, self._friends, self._files,
        ):  # fmt: skip
            async for thing in part():
                yield thing

    async def _call(self, command: str, key: str, *words: Any) -> Any:
        return await self._redis.call(command, self._redis.prefix + key, *words)

    async def _all(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Replies to (command, key without the prefix, ...)."""
        prefix = self._redis.prefix
        return await together(self._redis, [(name, prefix + key, *words) for name, key, *words in commands])

    def _pages(self) -> Iterable[list[str]]:
        for at in range(0, len(self._users), PAGE):
            yield self._users[at : at + PAGE]

    async def _head(self, name: str) -> int:
        length, base = await self._all([("LLEN", name), ("HGET", "base", name)])
        return int(length) + int(base or 0)

    async def _numbers(self) -> portable.Numbers:
        log = self._log
        epoch = await self._call("HGET", "epoch", "name")
        request = await self._call("GET", "fq")
        return portable.Numbers(
            epoch.decode(),
            log.get("no", 0),
            log.get("ms", 0),
            log.get("part", 0),
            self._floor,
            log.get("bpos", 0),
            log.get("change", 0),
            int(request or 0),
            log.get("call", 0),
            log.get("tr", 0),
        )

    # People and groups

    async def _people(self) -> AsyncIterator[portable.Thing]:
        for users in self._pages():
            fields = ("hash", "role", "off", "at", "gen")
            known = await self._all(("HMGET", f"u:{user}", *fields) for user in users)
            seen = await self._call("HMGET", "seen", *users)
            lengths = await self._all(("LLEN", f"ib:{user}") for user in users)
            bases = await self._call("HMGET", "base", *[f"ib:{user}" for user in users])
            for user, (hashed, role, off, at, generation), last, length, base in zip(
                users, known, seen, lengths, bases, strict=True
            ):
                account = Account(
                    user, hashed.decode(), Role(role.decode()), off == b"1", float(at), int(generation)
                )
                yield portable.Person(account, float(last or 0), length + int(base or 0))

    async def _grants(self) -> AsyncIterator[portable.Thing]:
        for users in self._pages():
            for sids in await self._all(("ZRANGE", f"us:{user}", 0, -1) for user in users):
                for fields in await self._all(("HGETALL", f"sid:{sid.decode()}") for sid in sids):
                    grant = grant_of(fields)
                    if grant is not None:
                        yield grant

    async def _groups(self) -> AsyncIterator[portable.Thing]:
        for gid in sorted(name.decode() for name in await self._call("SMEMBERS", "gx")):
            fields, members, joined, invited, spans = await self._all(
                [
                    ("HGETALL", f"g:{gid}"),
                    ("ZRANGE", f"gm:{gid}", 0, -1),
                    ("HGETALL", f"gj:{gid}"),
                    ("SMEMBERS", f"gi:{gid}"),
                    ("HGETALL", f"iv:{gid}"),
                ]
            )
            group, since = _words(fields), _words(joined)
            intervals = [
                (user, int(after), int(upto) if upto else None)
                for user, written in sorted(_words(spans).items())
                for after, _, upto in (span.partition("-") for span in written.split())
            ]
            yield portable.Team(
                gid,
                bool(group),
                group.get("name", ""),
                group.get("owner", ""),
                group.get("open") == "1",
                group.get("hash", ""),
                float(group.get("at", 0)),
                [(name.decode(), float(since[name.decode()])) for name in members],
                intervals,
                sorted(name.decode() for name in invited),
                await self._head(f"gv:{gid}"),
                group.get("enc") == "1",
            )

    async def _pairs(self) -> AsyncIterator[portable.Thing]:
        for user in self._users:
            peers, own = await self._all([("SMEMBERS", f"pt:{user}"), ("HGETALL", f"an:{user}")])
            for peer in sorted(name.decode() for name in peers):
                key = pair_key(user, peer)
                if not key.startswith(f"{user}/"):
                    continue
                names = [(user, name) for name, known in _words(own).items() if key in known.split("\n")]
                if peer != user:
                    others = _words(await self._call("HGETALL", f"an:{peer}"))
                    names += [(peer, name) for name, known in others.items() if key in known.split("\n")]
                head = await self._head(f"cv:{key}")
                yield portable.Pair(user, peer, head, sorted(names, key=lambda one: (one[1], one[0])))

    # Messages

    async def _letters(self) -> AsyncIterator[portable.Thing]:
        with closing(sqlite3.connect("", isolation_level=None)) as scratch:
            await self._deliveries(scratch)
            last = self._log.get("no", 0)
            for bucket in range(self._floor // 128, last // 128 + 1):
                found = await self._call("HGETALL", f"m:{bucket}")
                rows = sorted(
                    (int(no), decode_stored(stored))
                    for no, stored in zip(found[::2], found[1::2], strict=True)
                )
                kept = [(no, message) for no, message in rows if no >= self._floor]
                formats = await self._formats_of([message for no, message in kept if no == message.no])
                for no, message in kept:
                    to = scratch.execute(
                        "SELECT user, seq FROM d WHERE no = ? ORDER BY user", (no,)
                    ).fetchall()
                    if no != message.no:
                        yield portable.Copies(no, message.no, to)
                    else:
                        # The sender comes first.
                        to.sort(key=lambda one: one[0] != message.sender)
                        yield _letter(message, to, formats.get(no, ""))

    async def _deliveries(self, scratch: sqlite3.Connection) -> None:
        """Turns the inboxes round: who has each message, under which number."""
        scratch.execute(
            "CREATE TABLE d (no INTEGER, user TEXT, seq INTEGER, PRIMARY KEY (no, user)) WITHOUT ROWID"
        )
        scratch.execute("BEGIN")
        for user in self._users:
            base = int(await self._call("HGET", "base", f"ib:{user}") or 0)
            at = 0
            while rows := await self._call("LRANGE", f"ib:{user}", at, at + ROWS - 1):
                scratch.executemany(
                    "INSERT INTO d VALUES (?, ?, ?)",
                    [
                        (int(no), user, base + at + index)
                        for index, no in enumerate(rows, 1)
                        if int(no) >= self._floor
                    ],
                )
                at += len(rows)
        scratch.execute("COMMIT")

    async def _formats_of(self, messages: Sequence[Stored]) -> dict[int, str]:
        """Formats in which messages were sent, as far as their client ids are remembered."""
        since = (self._now - self._dedupe_seconds) * 1000
        asked = [
            (message, format)
            for message in messages
            if message.body.client_id and message.ms >= since
            for format in self._formats
        ]
        prefix = f"{self._redis.prefix}d:".encode()
        keys = [
            prefix + blake2b(f"{m.sender}\0{format}\0{m.body.client_id}".encode(), digest_size=16).digest()
            for m, format in asked
        ]
        found = await together(self._redis, [("GET", key) for key in keys])
        return {
            message.no: format
            for (message, format), known in zip(asked, found, strict=True)
            if known is not None and unpack(known)[2] == message.no
        }

    # The rest

    async def _devices(self) -> AsyncIterator[portable.Thing]:
        for users in self._pages():
            found = await self._all(("HGETALL", f"dv:{user}") for user in users)
            for user, devices in zip(users, found, strict=True):
                for name, known in zip(devices[::2], devices[1::2], strict=True):
                    format, _, device = name.decode().partition("\0")
                    acked, changed, touched = unpack(known)
                    yield portable.Device(user, format, device, int(acked), int(changed), float(touched))

    async def _changes(self) -> AsyncIterator[portable.Thing]:
        with closing(sqlite3.connect("", isolation_level=None)) as scratch:
            scratch.execute("CREATE TABLE c (id INTEGER, user TEXT, PRIMARY KEY (id, user)) WITHOUT ROWID")
            for users in self._pages():
                found = await self._all(("ZRANGE", f"ch:{user}", 0, -1) for user in users)
                rows = [(int(id), user) for user, ids in zip(users, found, strict=True) for id in ids]
                scratch.executemany("INSERT INTO c VALUES (?, ?)", rows)
            everybody = {int(id) for id in await self._call("ZRANGE", "ch", 0, -1)}
            last = self._log.get("change", 0)
            for first in range(max(self._log.get("cfloor", 1), 1), last + 1, PAGE):
                numbers = range(first, min(first + PAGE, last + 1))
                bodies = await self._all(("GET", f"c:{number}") for number in numbers)
                left = await self._all(("PTTL", f"c:{number}") for number in numbers)
                for number, body, life in zip(numbers, bodies, left, strict=True):
                    if body is None or life < 0:
                        continue
                    at = self._now - self._change_seconds + life / 1000
                    names = scratch.execute("SELECT user FROM c WHERE id = ?", (number,)).fetchall()
                    concerned = None if number in everybody else [user for (user,) in names]
                    yield portable.ChangeRow(number, at, concerned, _decode(body))

    async def _calls(self) -> AsyncIterator[portable.Thing]:
        last = self._log.get("call", 0)
        for first in range(1, last + 1, PAGE):
            numbers = range(first, min(first + PAGE, last + 1))
            found = await self._all(("GET", f"call:{number}") for number in numbers)
            for number, stored in zip(numbers, found, strict=True):
                if stored is not None:
                    record = unpack(stored)[5]
                    assert isinstance(record, bytes)
                    yield portable.Call(number, record_of(record))

    async def _friends(self) -> AsyncIterator[portable.Thing]:
        for user in self._users:
            friends, sent, blocked = await self._all(
                [("HGETALL", f"fr:{user}"), ("HGETALL", f"fs:{user}"), ("HGETALL", f"bl:{user}")]
            )
            for friend, since in sorted(_words(friends).items()):
                if user.encode() < friend.encode():
                    yield portable.Friendship(user, friend, float(since))
            for asked, no in sorted(_words(sent).items()):
                fields, change = await self._all([("HGETALL", f"fq:{no}"), ("ZSCORE", f"rq:{asked}", user)])
                request = _words(fields)
                yield portable.OpenRequest(
                    int(no), user, asked, request["message"], float(request["at"]), int(float(change or 0))
                )
            for other, at in sorted(_words(blocked).items()):
                yield portable.Block(user, other, float(at))

    async def _files(self) -> AsyncIterator[portable.Thing]:
        last = self._log.get("tr", 0)
        for first in range(1, last + 1, PAGE):
            numbers = range(first, min(first + PAGE, last + 1))
            rows = await self._all(("HMGET", f"tr:{number}", *FIELDS) for number in numbers)
            found = [transfer_of(row) for row in rows if row[0] is not None]
            places = await self._all(("HGETALL", f"trd:{transfer.no}") for transfer in found)
            for transfer, known in zip(found, places, strict=True):
                deliveries = [(user, Delivery(state)) for user, state in sorted(_words(known).items())]
                yield portable.Sent(transfer, deliveries)


def _words(reply: Sequence[bytes]) -> dict[str, str]:
    """A hash of text."""
    return {name.decode(): value.decode() for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _letter(message: Stored, to: Sequence[tuple[str, int]], format: str) -> portable.Letter:
    body = message.body
    return portable.Letter(
        message.no,
        message.ms,
        message.part,
        message.position,
        message.name,
        message.sender,
        message.recipient,
        message.group,
        to,
        message.renamed,
        body.client_id,
        format,
        body.form,
        body.number,
        body.data,
        body.sent_at,
        body.extra,
        body.attachments,
        body.meta,
        message.revoked_by,
        message.revoked_at,
    )
