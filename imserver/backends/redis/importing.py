"""Writes all that another engine had into a Redis that has nothing under the prefix.

A mark is set before anything else and taken away at the very end; nodes do not start where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from imserver.backends.common import portable
from imserver.backends.common.digests import payload_digest
from imserver.backends.redis.accounts import GRANT_KEPT, grant_words
from imserver.backends.redis.calls import call_identity, encode_record
from imserver.backends.redis.importing_files import ALIVE, file_commands
from imserver.backends.redis.keys import pair_key
from imserver.backends.redis.link import Redis
from imserver.backends.redis.packed import pack
from imserver.backends.redis.records import Body, Stored, encode
from imserver.model.accounts import Grant
from imserver.model.messages import Content, Form, SendMessage

MIGRATING = "migrating"
"""The mark's key."""
STEP_COMMANDS = 1_000
STEP_BYTES = 1 << 20
CLEARED_AT_ONCE = 500

Command = tuple[Any, ...]


async def together(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """The replies to commands that are sent at once. Raises what the first one that failed failed with."""
    waiting: list[Deferred[Any]] = [redis.call(*command) for command in commands]
    outcomes = await DeferredList(waiting, consumeErrors=True)
    for done, outcome in outcomes:
        if not done:
            outcome.raiseException()
    return [outcome for _, outcome in outcomes]


async def keys_there(redis: Redis) -> list[bytes]:
    """Some of the keys under the prefix, the mark aside; [] if there are none."""
    cursor: Any = b"0"
    while True:
        cursor, keys = await redis.call("SCAN", cursor, "MATCH", f"{redis.prefix}*", "COUNT", 1000)
        found = [key for key in keys if key != f"{redis.prefix}{MIGRATING}".encode()]
        if found or cursor == b"0":
            return found


async def clear(redis: Redis) -> None:
    """Removes everything under the prefix but the mark."""
    while keys := await keys_there(redis):
        for at in range(0, len(keys), CLEARED_AT_ONCE):
            await redis.call("UNLINK", *keys[at : at + CLEARED_AT_ONCE])


class RedisTarget:
    """See `portable.Target`.

    Args:
        now: the time of day, float seconds.
        dedupe_seconds / change_seconds: how long client ids and changes are kept.
    """

    def __init__(self, redis: Redis, now: float, dedupe_seconds: float, change_seconds: float) -> None:
        self._redis = redis
        self._now = now
        self._dedupe_seconds = dedupe_seconds
        self._change_seconds = change_seconds
        self._commands: list[Command] = []
        self._bytes = 0
        self._heads: dict[str, int] = {}  # of lists
        self._kept: dict[str, int] = {}
        self._names: dict[tuple[str, str], list[str]] = {}  # keys of pairs by (user, own name)
        self._hour = -1
        self._first_change = 0
        self._file_bytes = 0
        self._numbers: portable.Numbers | None = None
        self._messages: dict[int, bytes] = {}  # broadcasts as they are stored
        self._reached: dict[int, list[tuple[str, int]]] = {}
        self._puts: dict[type, Callable[[Any], None]] = {
            portable.Numbers: self._put_numbers,
            portable.Person: self._put_person,
            Grant: self._put_grant,
            portable.Team: self._put_group,
            portable.Pair: self._put_pair,
            portable.Letter: self._put_letter,
            portable.Copies: self._put_copies,
            portable.Device: self._put_device,
            portable.ChangeRow: self._put_change,
            portable.Call: self._put_call,
            portable.Friendship: self._put_friendship,
            portable.OpenRequest: self._put_request,
            portable.Block: self._put_block,
            portable.Sent: self._put_file,
        }

    async def put(self, thing: portable.Thing) -> None:
        """See Target."""
        self._puts[type(thing)](thing)
        if len(self._commands) >= STEP_COMMANDS or self._bytes >= STEP_BYTES:
            await self._send()

    async def finish(self) -> None:
        """See Target. The mark stays: it goes when all was compared."""
        numbers = self._numbers
        assert numbers is not None
        for name, head in self._heads.items():
            base = head - self._kept.get(name, 0)
            if base > 0:
                self._say("HSET", "base", name, base)
        for message, reached in self._reached.items():
            self._say("ZADD", "bs", message, message)
            for user, copy in portable.runs(reached):
                self._say("RPUSH", f"bf:{message}", f"{user}\0{copy}")
        log: dict[str, int] = {
            "no": numbers.no,
            "ms": numbers.ms,
            "part": numbers.part,
            "bpos": numbers.broadcast,
            "change": numbers.change,
            "cfloor": self._first_change or numbers.change + 1,
            "call": numbers.call,
            "tr": numbers.transfer,
            "trb": self._file_bytes,
        }
        if numbers.floor > 1:
            log |= {"floor": numbers.floor, "swept": numbers.floor // 128}
        self._say("HSET", "log", *[word for item in log.items() for word in item])
        self._say("SET", "fq", numbers.request)
        self._say("HSET", "epoch", "name", numbers.epoch, "run", self._redis.run_id)
        await self._send()

    def _say(self, command: str, key: str, *words: Any) -> None:
        self._commands.append((command, self._redis.prefix + key, *words))
        self._bytes += sum(len(word) for word in words if isinstance(word, bytes | str))

    async def _send(self) -> None:
        commands, self._commands, self._bytes = self._commands, [], 0
        await together(self._redis, commands)

    # People and groups

    def _put_numbers(self, numbers: portable.Numbers) -> None:
        self._numbers = numbers

    def _put_person(self, person: portable.Person) -> None:
        account = person.account
        user = account.user
        self._say(
            "HSET", f"u:{user}", "gen", account.generation, "hash", account.password_hash,
            "role", account.role.value, "off", int(account.disabled), "at", repr(account.created_at),
        )  # fmt: skip
        self._say("ZADD", "users", 0, user)
        if person.seen:
            self._say("HSET", "seen", user, repr(person.seen))
        self._heads[f"ib:{user}"] = person.head

    def _put_grant(self, grant: Grant) -> None:
        over = max(grant.expires_at, self._now) + GRANT_KEPT
        life = int((over - self._now) * 1000)
        self._say("HSET", f"sid:{grant.sid}", *grant_words(grant))
        self._say("PEXPIRE", f"sid:{grant.sid}", life)
        self._say("ZADD", f"us:{grant.user}", repr(over), grant.sid)
        # The longest of them; a key that has no time yet gets the first.
        self._say("PEXPIRE", f"us:{grant.user}", life, "NX")
        self._say("PEXPIRE", f"us:{grant.user}", life, "GT")

    def _put_group(self, group: portable.Team) -> None:
        gid = group.group
        self._say("SADD", "gx", gid)
        spans: dict[str, list[str]] = {}
        for user, after, upto in sorted(
            group.intervals, key=lambda span: (span[0], span[1], span[2] is None)
        ):
            spans.setdefault(user, []).append(f"{after}-{'' if upto is None else upto}")
        for user, written in spans.items():
            self._say("HSET", f"iv:{gid}", user, " ".join(written))
        self._heads[f"gv:{gid}"] = group.head
        if not group.live:
            return
        self._say(
            "HSET", f"g:{gid}", "name", group.name, "owner", group.owner, "open", int(group.open),
            "hash", group.password_hash, "at", repr(group.created_at), "standing", len(group.members),
            "enc", int(group.encrypted),
        )  # fmt: skip
        self._say("ZADD", "groups", 0, gid)
        for standing, (user, since) in enumerate(group.members, 1):
            self._say("ZADD", f"gm:{gid}", standing, user)
            self._say("HSET", f"gj:{gid}", user, repr(since))
            self._say("SADD", f"ug:{user}", gid)
        for user in group.invited:
            self._say("SADD", f"gi:{gid}", user)

    def _put_pair(self, pair: portable.Pair) -> None:
        key = pair_key(pair.one, pair.other)
        self._say("SADD", f"pt:{pair.one}", pair.other)
        self._say("SADD", f"pt:{pair.other}", pair.one)
        self._heads[f"cv:{key}"] = pair.head
        for user, name in pair.names:
            self._names.setdefault((user, name), []).append(key)
            self._say("HSET", f"an:{user}", name, "\n".join(self._names[user, name]))
            self._say("SADD", f"pn:{key}", name)

    # Messages

    def _list(self, name: str, no: int) -> None:
        self._say("RPUSH", name, no)
        self._kept[name] = self._kept.get(name, 0) + 1

    def _put_letter(self, letter: portable.Letter) -> None:
        stored = encode(_stored(letter))
        self._say("HSET", f"m:{letter.no // 128}", letter.no, stored)
        for user, _ in letter.to:
            self._list(f"ib:{user}", letter.no)
        if letter.group:
            self._list(f"gv:{letter.group}", letter.no)
        elif letter.recipient:
            self._list(f"cv:{pair_key(letter.sender, letter.recipient)}", letter.no)
        else:
            self._messages[letter.no] = stored
            self._reached[letter.no] = []
        hour = letter.ms // 3_600_000
        if hour > self._hour:
            self._hour = hour
            self._say("HSETNX", "hours", hour, letter.no)
        if letter.client_id and letter.format:
            self._remember(letter)

    def _remember(self, letter: portable.Letter) -> None:
        left = self._dedupe_seconds - (self._now - letter.ms / 1000)
        if left <= 0:
            return
        key = f"{letter.sender}\0{letter.format}\0{letter.client_id}".encode()
        name = f"{self._redis.prefix}d:".encode() + blake2b(key, digest_size=16).digest()
        known = pack(_digest(letter), float(letter.ms), letter.no, letter.to[0][1])
        self._commands.append(("SET", name, known, "PX", int(left * 1000)))

    def _put_copies(self, copies: portable.Copies) -> None:
        message = self._messages.get(copies.message)
        assert message is not None, "a row that points to no broadcast"
        self._say("HSET", f"m:{copies.no // 128}", copies.no, message)
        for user, _ in copies.to:
            self._list(f"ib:{user}", copies.no)
            self._reached[copies.message].append((user, copies.no))

    # The rest

    def _put_device(self, device: portable.Device) -> None:
        known = pack(device.acked, device.changed, device.touched)
        self._say("HSET", f"dv:{device.user}", f"{device.format}\0{device.device}", known)

    def _put_change(self, change: portable.ChangeRow) -> None:
        left = int(change.at + self._change_seconds - self._now)
        if left <= 0:
            return
        number = change.number
        self._first_change = self._first_change or number
        self._say("SET", f"c:{number}", encode(list(change.fields)), "EX", left)
        if change.users is None:
            self._say("ZADD", "ch", number, number)
        lists = [f"ch:{user}" for user in change.users or ()]
        if change.fields[0] == 1:
            lists += [f"mc:{user}" for user in change.users or ()]
        for key in lists:
            self._say("ZADD", key, number, number)
            # Later changes are kept longer.
            self._say("EXPIRE", key, left)

    def _put_call(self, call: portable.Call) -> None:
        record, no = call.record, call.no
        identity = call_identity(record)
        stored = pack(1, identity, "", record.caller, record.callee, encode_record(record))
        self._say("SET", f"call:{no}", stored)
        self._say("HSET", "ci", identity, no)
        self._say("ZADD", "calls", repr(record.created_at), no)
        self._say("ZADD", f"cl:{record.caller}", no, no)
        if not record.withheld:
            self._say("ZADD", f"cl:{record.callee}", no, no)

    def _put_friendship(self, friends: portable.Friendship) -> None:
        self._say("HSET", f"fr:{friends.one}", friends.other, repr(friends.since))
        self._say("HSET", f"fr:{friends.other}", friends.one, repr(friends.since))

    def _put_request(self, request: portable.OpenRequest) -> None:
        self._say(
            "HSET", f"fq:{request.no}", "asker", request.asker, "asked", request.asked,
            "message", request.message, "at", repr(request.at),
        )  # fmt: skip
        self._say("HSET", f"fs:{request.asker}", request.asked, request.no)
        self._say("ZADD", f"rq:{request.asked}", request.change, request.asker)

    def _put_block(self, block: portable.Block) -> None:
        self._say("HSET", f"bl:{block.user}", block.blocked, repr(block.at))
        self._say("SADD", f"bb:{block.blocked}", block.user)
        self._say("HSET", f"u:{block.user}", "blk", 1)

    def _put_file(self, sent: portable.Sent) -> None:
        for command in file_commands(sent):
            self._say(*command)
        if sent.transfer.state in ALIVE:
            self._file_bytes += sent.transfer.size


def _stored(letter: portable.Letter) -> Stored:
    body = Body(
        letter.client_id,
        letter.form,
        letter.number,
        letter.sent_at,
        letter.data,
        letter.extra,
        letter.attachments,
        letter.meta,
    )
    return Stored(
        letter.no,
        letter.ms,
        letter.part,
        letter.position,
        letter.name,
        letter.sender,
        letter.recipient,
        letter.group,
        list(letter.renamed),
        letter.revoked_by,
        letter.revoked_at,
        body,
    )


def _digest(letter: portable.Letter) -> bytes:
    """What a retry is compared with. Of what was taken back nothing is known: a retry conflicts."""
    if letter.revoked_by:
        return bytes(16)
    content = Content(Form(letter.form), letter.data, letter.number)
    return payload_digest(
        "", SendMessage(content=content, extra=letter.extra, attachments=letter.attachments, meta=letter.meta)
    )
