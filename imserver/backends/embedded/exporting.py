"""All that is in a database, for another engine. Whoever calls has brought it to rest."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator

from msgspec import structs

from imserver.backends.common import portable
from imserver.backends.embedded.change_log import ChangeRecord, decode_change
from imserver.backends.embedded.files import transfers
from imserver.backends.embedded.log_rows import ascending, descending, last_offset
from imserver.backends.embedded.records import MessageRecord, decode, recipients
from imserver.model.accounts import Account, Grant, Role
from imserver.model.call_records import CallRecord
from imserver.model.calls import Ending
from imserver.services.file_ports import Delivery

_HEAD = "SELECT first + length(offsets) / 8 - 1 FROM {} WHERE no = ? ORDER BY first DESC LIMIT 1"
_CALLS = (
    "SELECT c.no, c.id, r.name, e.name, c.video, c.created_at, c.answered_at, c.ended_at, c.ending,"
    " coalesce(b.name, ''), c.withheld FROM calls c JOIN users r ON r.no = c.caller"
    " JOIN users e ON e.no = c.callee LEFT JOIN users b ON b.no = c.ended_by"
    " WHERE c.ending IS NOT NULL ORDER BY c.no"
)


class SqliteSource:
    """See `portable.Source`.

    Args:
        connection: to a database whose indexes are written (the engine was closed).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._names: dict[int, str] = dict(connection.execute("SELECT no, name FROM users"))

    async def everything(self) -> AsyncIterator[portable.Thing]:
        """See Source."""
        for part in (
            self._numbers, self._people, self._grants, self._groups, self._pairs, self._log, self._devices,
            self._changes, self._calls, self._friends, self._files,
        ):  # fmt: skip
            for thing in part():
                yield thing

    def _one(self, sql: str, *parameters: object) -> int:
        row = self._connection.execute(sql, parameters).fetchone()
        return int(row[0] or 0) if row is not None else 0

    def _head(self, table: str, no: int) -> int:
        return self._one(_HEAD.format(table), no)

    def _sequence(self, table: str) -> int:
        return self._one("SELECT seq FROM sqlite_sequence WHERE name = ?", table)

    def _numbers(self) -> Iterator[portable.Thing]:
        meta = dict(self._connection.execute("SELECT key, value FROM meta"))
        last = max(last_offset(self._connection), meta.get("indexed_upto", 0), meta.get("floor", 1) - 1)
        ms = part = 0
        for body in descending(self._connection, last):
            record = decode(body)
            if isinstance(record, MessageRecord):
                ms, part = int(record.message_id[:12], 16), int(record.message_id[12:16], 16)
                break
        yield portable.Numbers(
            str(meta["epoch"]),
            last,
            ms,
            part,
            meta.get("floor", 1),
            self._head("conversation_index", 0),
            self._sequence("changes"),
            self._sequence("friend_requests"),
            self._sequence("calls"),
            self._sequence("transfers"),
        )

    def _people(self) -> Iterator[portable.Thing]:
        for no, name, password_hash, role, disabled, at, generation, seen in self._connection.execute(
            "SELECT no, name, password_hash, role, disabled, created_at, generation, last_seen FROM users"
            " ORDER BY name"
        ):
            account = Account(name, password_hash, Role(role), bool(disabled), at, generation)
            yield portable.Person(account, seen, self._head("inbox_index", no))

    def _grants(self) -> Iterator[portable.Thing]:
        names = ", ".join(Grant.__struct_fields__)
        for row in self._connection.execute(f"SELECT {names} FROM grants ORDER BY sid"):  # noqa: S608
            grant = Grant(*row)
            yield structs.replace(grant, revoked=bool(grant.revoked))

    def _groups(self) -> Iterator[portable.Thing]:
        execute, names = self._connection.execute, self._names
        for gid, no, name, owner, is_open, password_hash, at, deleted_at, encrypted in execute(
            "SELECT gid, no, name, owner, open, password_hash, created_at, deleted_at, encrypted FROM groups"
            " ORDER BY gid"
        ):
            spans = execute(
                "SELECT user_no, joined_at, joined_pos, left_pos FROM memberships WHERE no = ? ORDER BY id",
                (no,),
            ).fetchall()
            live = deleted_at is None
            invited = execute("SELECT user_no FROM invitations WHERE no = ?", (no,)).fetchall()
            yield portable.Team(
                gid,
                live,
                name,
                names.get(owner, ""),
                bool(is_open),
                password_hash,
                at,
                [(names[user], since) for user, since, _, left in spans if left is None],
                [(names[user], joined, left) for user, _, joined, left in spans],
                sorted(names[user] for (user,) in invited),
                self._head("conversation_index", no),
                bool(encrypted),
            )

    def _pairs(self) -> Iterator[portable.Thing]:
        for no, a, b in self._connection.execute("SELECT no, a, b FROM pairs ORDER BY no"):
            known = self._connection.execute(
                "SELECT user_no, name FROM aliases WHERE no = ? ORDER BY name, user_no", (no,)
            )
            own = [(self._names[user], name) for user, name in known]
            head = self._head("conversation_index", no)
            yield portable.Pair(self._names[a], self._names[b], head, own)

    def _log(self) -> Iterator[portable.Thing]:
        names = self._names
        floor = self._one("SELECT value FROM meta WHERE key = 'floor'")
        for offset, body in ascending(self._connection, floor):
            record = decode(body)
            to = [(names[user], seq) for user, seq in recipients(record)]
            if not isinstance(record, MessageRecord):
                yield portable.Copies(offset, record.message, to)
                continue
            yield portable.Letter(
                offset,
                int(record.message_id[:12], 16),
                int(record.message_id[12:16], 16),
                record.position,
                record.name,
                record.sender,
                record.recipient,
                record.group,
                to,
                [names[user] for user in record.renamed],
                record.client_id,
                record.format,
                record.form,
                record.number,
                record.data,
                0.0 if record.sent_at == record.server_at else record.sent_at,
                record.extra,
                record.attachments,
                record.meta,
                record.revoked_by,
                record.revoked_at,
            )

    def _devices(self) -> Iterator[portable.Thing]:
        for user, *rest in self._connection.execute(
            "SELECT user_no, format, device, acked, changed, touched FROM devices"
        ):
            yield portable.Device(self._names[user], *rest)

    def _changes(self) -> Iterator[portable.Thing]:
        for number, at, everyone, kind, body in self._connection.execute(
            "SELECT id, at, everyone, kind, body FROM changes ORDER BY id"
        ):
            record = decode_change(kind, body)
            fields: list[object] = [kind, *structs.astuple(record)]
            if isinstance(record, ChangeRecord):
                fields[-1] = [self._names[user] for user in record.renamed]
            users = self._connection.execute("SELECT user_no FROM change_index WHERE id = ?", (number,))
            concerned = None if everyone else [self._names[user] for (user,) in users]
            yield portable.ChangeRow(number, at, concerned, fields)

    def _calls(self) -> Iterator[portable.Thing]:
        for no, *row in self._connection.execute(_CALLS):
            call, caller, callee, video, created_at, answered_at, ended_at, ending, by, withheld = row
            record = CallRecord(
                call,
                caller,
                callee,
                bool(video),
                created_at,
                answered_at,
                ended_at,
                Ending(ending),
                by,
                bool(withheld),
            )
            yield portable.Call(no, record)

    def _friends(self) -> Iterator[portable.Thing]:
        names, execute = self._names, self._connection.execute
        for a, b, since in execute("SELECT a, b, since FROM friendships"):
            yield portable.Friendship(names[a], names[b], since)
        for no, asker, asked, message, at, change in execute(
            "SELECT no, asker, asked, message, at, change FROM friend_requests ORDER BY no"
        ):
            yield portable.OpenRequest(no, names[asker], names[asked], message, at, change)
        for user, blocked, at in execute("SELECT user_no, blocked, at FROM blocks"):
            yield portable.Block(names[user], names[blocked], at)

    def _files(self) -> Iterator[portable.Thing]:
        for transfer in transfers(self._connection):
            known = self._connection.execute(
                "SELECT user, state FROM deliveries WHERE no = ? ORDER BY user", (transfer.no,)
            )
            yield portable.Sent(transfer, [(user, Delivery(state)) for user, state in known])
