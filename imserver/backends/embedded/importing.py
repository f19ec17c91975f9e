"""Writes all that another engine had into an empty database."""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec import structs

from imserver.backends.common import portable
from imserver.backends.common.digests import payload_digest
from imserver.backends.embedded import change_log
from imserver.backends.embedded.dedupe import bucket_of, key_hash, span_of
from imserver.backends.embedded.import_rows import ClientIdRows, IndexRows, LogRows
from imserver.backends.embedded.records import (
    PACKED_FROM,
    FanoutRecord,
    MessageRecord,
    canonical_name,
    encode,
    message_id_prefix,
    pack_recipients,
)
from imserver.model.accounts import Grant
from imserver.model.messages import Content, Form, SendMessage

STEP = 5_000
"""Things written in one transaction."""


class SqliteTarget:
    """See `portable.Target`.

    Args:
        connection: to a database that has its tables and nothing in them.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._users: dict[str, int] = {}
        self._conversations: dict[str, int] = {}  # groups "g<id>", pairs "p<a>/<b>"
        self._heads: list[tuple[IndexRows, int, int]] = []
        self._inboxes = IndexRows(connection, "inbox_index")
        self._positions = IndexRows(connection, "conversation_index")
        self._log = LogRows(connection)
        self._client_ids = ClientIdRows(connection)
        self._numbers: portable.Numbers | None = None
        self._broadcasts: dict[int, list[tuple[str, int]]] = {}
        self._missed: dict[tuple[str, str, float], int] = {}
        self._since_commit = 0
        self._puts: dict[type, Any] = {
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
        connection.execute("BEGIN IMMEDIATE")

    async def put(self, thing: portable.Thing) -> None:
        """See Target."""
        self._puts[type(thing)](thing)
        self._since_commit += 1
        if self._since_commit >= STEP:
            self._since_commit = 0
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN IMMEDIATE")

    async def finish(self) -> None:
        """See Target."""
        numbers = self._numbers
        assert numbers is not None
        self._log.flush()
        self._inboxes.flush()
        self._positions.flush()
        self._client_ids.flush()
        for index, no, head in self._heads:
            index.head(no, head, numbers.floor)
        for message, reached in self._broadcasts.items():
            self._put_broadcast(message, reached)
        meta = {
            "epoch": numbers.epoch,
            "indexed_upto": numbers.no,
            "floor": numbers.floor,
            "trimmed_to": numbers.floor,
        }
        self._insert_many("meta", list(meta.items()))
        for table, last in (
            ("changes", numbers.change),
            ("friend_requests", numbers.request),
            ("calls", numbers.call),
            ("transfers", numbers.transfer),
        ):
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            self._insert("sqlite_sequence", table, last)
        self._connection.execute("COMMIT")

    def _insert(self, table: str, *values: object) -> None:
        marks = ", ".join("?" * len(values))
        self._connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608

    def _insert_many(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        for row in rows:
            self._insert(table, *row)

    # People and groups

    def _put_numbers(self, numbers: portable.Numbers) -> None:
        self._numbers = numbers
        self._heads.append((self._positions, 0, numbers.broadcast))

    def _put_person(self, person: portable.Person) -> None:
        account = person.account
        no = self._users[account.user] = len(self._users) + 1
        self._insert(
            "users", no, account.user, account.password_hash, account.role.value, account.disabled,
            account.created_at, account.generation, person.seen,
        )  # fmt: skip
        self._heads.append((self._inboxes, no, person.head))

    def _put_grant(self, grant: Grant) -> None:
        self._insert("grants", *structs.astuple(grant))

    def _put_group(self, group: portable.Team) -> None:
        no = self._conversations["g" + group.group] = len(self._conversations) + 1
        at = group.created_at
        self._insert(
            "groups", group.group, no, group.name, self._users.get(group.owner, 0), group.open,
            group.password_hash, at, None if group.live else at, group.encrypted,
        )  # fmt: skip
        standing = {user: index for index, (user, _) in enumerate(group.members)}
        since = dict(group.members)
        # Rows are in the order of standing.
        spans = sorted(
            group.intervals, key=lambda span: -1 if span[2] is not None else standing.get(span[0], 0)
        )
        for user, after, upto in spans:
            left_at = None if upto is None else 0.0
            joined_at = since.get(user, 0.0) if upto is None else 0.0
            self._connection.execute(
                "INSERT INTO memberships (no, user_no, joined_at, joined_pos, left_at, left_pos)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (no, self._users[user], joined_at, after, left_at, upto),
            )
        self._insert_many("invitations", [(no, self._users[user], "", 0.0) for user in group.invited])
        self._heads.append((self._positions, no, group.head))

    def _put_pair(self, pair: portable.Pair) -> None:
        a, b = sorted((self._users[pair.one], self._users[pair.other]))
        no = self._conversations[f"p{a}/{b}"] = len(self._conversations) + 1
        self._insert("pairs", no, a, b)
        for user, name in pair.names:
            self._insert("aliases", self._users[user], name, no)
        self._heads.append((self._positions, no, pair.head))

    # Messages

    def _conversation(self, letter: portable.Letter) -> int:
        if letter.group:
            return self._conversations["g" + letter.group]
        if not letter.recipient:
            return 0
        a, b = sorted((self._users[letter.sender], self._users[letter.recipient]))
        return self._conversations[f"p{a}/{b}"]

    def _put_letter(self, letter: portable.Letter) -> None:
        no = self._conversation(letter)
        numbers = [self._users[user] for user, _ in letter.to]
        seqs = [seq for _, seq in letter.to]
        to: list[int] | bytes = [one for both in zip(numbers, seqs, strict=True) for one in both]
        if len(numbers) >= PACKED_FROM:
            to = pack_recipients(numbers, seqs)
        server_at = letter.ms / 1000
        record = MessageRecord(
            f"{message_id_prefix(letter.ms, letter.part)}{letter.no:012x}",
            no,
            letter.position,
            letter.name,
            letter.sender,
            letter.recipient,
            letter.group,
            to,
            letter.client_id,
            # What format it was nobody asks any more; two of them must not seem to be one.
            letter.format or (f"?{letter.no}" if letter.client_id else ""),
            b"",
            letter.form,
            letter.number,
            letter.data,
            letter.sent_at or server_at,
            server_at,
            letter.extra,
            letter.attachments,
            letter.meta,
            [self._users[user] for user in letter.renamed],
            letter.revoked_by,
            letter.revoked_at,
        )
        if letter.client_id:
            record = structs.replace(record, digest=_digest(letter, canonical_name(record)))
            if letter.format:
                hashed = key_hash(numbers[0], letter.format, letter.client_id)
                self._client_ids.add(bucket_of(span_of(server_at), letter.no), hashed, letter.no)
        self._log.add(letter.no, encode(record))
        for user_no, seq in zip(numbers, seqs, strict=True):
            self._inboxes.add(user_no, seq, letter.no)
        self._positions.add(no, letter.position, letter.no)
        if no == 0:
            self._broadcasts[letter.no] = []

    def _put_copies(self, copies: portable.Copies) -> None:
        numbers = [self._users[user] for user, _ in copies.to]
        seqs = [seq for _, seq in copies.to]
        self._log.add(copies.no, encode(FanoutRecord(copies.message, pack_recipients(numbers, seqs))))
        for (user, seq), user_no in zip(copies.to, numbers, strict=True):
            self._inboxes.add(user_no, seq, copies.no)
            self._broadcasts[copies.message].append((user, copies.no))

    def _put_broadcast(self, message: int, reached: list[tuple[str, int]]) -> None:
        # Numbers of users are in the order of their names here, so runs of names are runs of numbers.
        for user, offset in portable.runs(reached):
            self._insert("fanouts", message, self._users[user], offset)
        last = max((offset for _, offset in reached), default=message)
        # 0: how many there were when it began is not known.
        self._insert("broadcasts", message, 0, max(self._users.values()), last, 1)

    # The rest

    def _put_device(self, device: portable.Device) -> None:
        user = self._users[device.user]
        self._insert(
            "devices", user, device.format, device.device, device.acked, device.changed, device.touched
        )

    def _put_change(self, change: portable.ChangeRow) -> None:
        kind, *fields = change.fields
        record: change_log.Record
        if kind == change_log.Kind.MESSAGES:
            renamed: Any = fields[-1]
            fields[-1] = [self._users[user] for user in renamed]
            record = change_log.ChangeRecord(*fields)  # type: ignore[arg-type]
        elif kind == change_log.Kind.MISSED_CALL:
            record = change_log.MissedRecord(*fields)  # type: ignore[arg-type]
            self._missed[record.call, record.caller, record.created_at] = change.number
        else:
            record = change_log.FriendRecord(*fields)  # type: ignore[arg-type]
        body = encode(record)
        self._insert("changes", change.number, change.at, change.users is None, body, kind)
        for user in change.users or ():
            self._insert("change_index", self._users[user], change.number)

    def _put_call(self, call: portable.Call) -> None:
        record = call.record
        assert record.ending is not None
        missed = self._missed.get((record.call, record.caller, record.created_at)) if record.told else None
        self._insert(
            "calls", call.no, record.call, self._users[record.caller], self._users[record.callee],
            record.video, record.created_at, record.answered_at, record.ended_at, record.ending.value,
            self._users.get(record.by, 0), missed, record.withheld,
        )  # fmt: skip

    def _put_friendship(self, friends: portable.Friendship) -> None:
        a, b = sorted((self._users[friends.one], self._users[friends.other]))
        self._insert("friendships", a, b, friends.since)

    def _put_request(self, request: portable.OpenRequest) -> None:
        asker, asked = self._users[request.asker], self._users[request.asked]
        self._insert("friend_requests", request.no, asker, asked, request.message, request.at, request.change)

    def _put_block(self, block: portable.Block) -> None:
        self._insert("blocks", self._users[block.user], self._users[block.blocked], block.at)

    def _put_file(self, sent: portable.Sent) -> None:
        transfer = sent.transfer
        self._insert(
            "transfers", transfer.no, transfer.id, transfer.file, transfer.owner, transfer.format,
            transfer.client_id, transfer.name, transfer.size, transfer.sha256, int(transfer.kind),
            transfer.recipient, transfer.group, transfer.conversation, transfer.state.value,
            transfer.created_at, transfer.expires_at, transfer.message_id,
        )  # fmt: skip
        # When, is not asked by anybody, and not known to every engine.
        self._insert_many(
            "deliveries", [(transfer.no, user, where.value, 0.0) for user, where in sent.deliveries]
        )


def _digest(letter: portable.Letter, canonical: str) -> bytes:
    """What a retry is compared with. Of what was taken back nothing is known: a retry conflicts."""
    if letter.revoked_by:
        return bytes(16)
    content = Content(Form(letter.form), letter.data, letter.number)
    return payload_digest(
        canonical,
        SendMessage(content=content, extra=letter.extra, attachments=letter.attachments, meta=letter.meta),
    )
