"""The log part of `verify`: walks every record once, in order."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable

from imserver.backends.embedded.client_ids import hashes_of, is_found, offsets_of
from imserver.backends.embedded.dedupe import key_hash
from imserver.backends.embedded.log_rows import ascending
from imserver.backends.embedded.records import (
    FanoutRecord,
    MessageRecord,
    decode,
    first_answer,
    milliseconds_in_id,
    offset_in_id,
    recipients,
)
from imserver.backends.embedded.verify_index import Numbers
from imserver.model.messages import Form


class Membership:
    """Who was a member of one group at a position; cheap for ascending positions."""

    def __init__(self, connection: sqlite3.Connection, no: int) -> None:
        self._spans = connection.execute(
            "SELECT user_no, joined_pos, coalesce(left_pos, 9223372036854775807)"
            " FROM memberships WHERE no = ?",
            (no,),
        ).fetchall()
        edges = {position for _, joined, left in self._spans for position in (joined, left)}
        self._edges = sorted(edges)
        self._members: set[int] = set()
        self._upto = -1

    def at(self, position: int) -> set[int]:
        """The members who see this position."""
        if position > self._upto:
            self._members = {user for user, joined, left in self._spans if joined < position <= left}
            self._upto = next((edge for edge in self._edges if edge >= position), position)
        return self._members


class LogCheck:
    """Walks the log.

    Attributes:
        inboxes, conversations: what the indexes must say.
    """

    def __init__(
        self, connection: sqlite3.Connection, floor: int, watermark: int, dedupe_seconds: float, now: float
    ) -> None:
        self._connection = connection
        self._floor = floor
        self._watermark = watermark
        self._dedupe_seconds = dedupe_seconds
        self._now = now
        self._faults: list[str] = []
        self.inboxes = Numbers("user", floor, watermark)
        self.conversations = Numbers("conversation", floor, watermark)
        self._users = dict(connection.execute("SELECT name, no FROM users"))
        self._pairs = {no: (a, b) for no, a, b in connection.execute("SELECT no, a, b FROM pairs")}
        self._groups = dict(connection.execute("SELECT gid, no FROM groups"))
        self._memberships: dict[int, Membership] = {}
        self._recent: OrderedDict[int, tuple[float, int]] = OrderedDict()
        self._broadcasts: dict[int, int] = {}
        self._last_ms = 0

    def run(self, progress: Callable[[str, int], None]) -> list[str]:
        """Returns the faults."""
        before = 0
        for count, (offset, body) in enumerate(ascending(self._connection, self._floor), 1):
            if offset <= before:
                self._fault(offset, f"is in a row behind that of {before}")
            before = offset
            record = decode(body)
            if isinstance(record, MessageRecord):
                self._message(offset, record)
            else:
                self._fanout(offset, record)
            for user_no, seq in recipients(record):
                fault = self.inboxes.add(user_no, seq, offset)
                if fault:
                    self._faults.append(fault)
            if count % 10_000 == 0:
                progress("log", count)
        self._dedupe()
        self._finished_broadcasts()
        return self._faults

    def _fault(self, offset: int, text: str) -> None:
        self._faults.append(f"log offset {offset}: {text}")

    def _message(self, offset: int, record: MessageRecord) -> None:
        if offset_in_id(record.message_id) != offset:
            self._fault(offset, f"bears the message id {record.message_id}")
        else:
            milliseconds = milliseconds_in_id(record.message_id)
            if milliseconds < self._last_ms:
                self._fault(offset, "is older than the row before it")
            self._last_ms = max(self._last_ms, milliseconds)
        fault = self.conversations.add(record.no, record.position, offset)
        if fault:
            self._faults.append(fault)
        Form(record.form)
        self._recipients(offset, record)
        if record.revoked_by and (record.data or record.extra or record.attachments or record.meta):
            self._fault(offset, "was taken back but still has its content")
        if record.client_id:
            self._client_id(offset, record)
        if not record.recipient and not record.group:
            self._broadcasts[offset] = 0

    def _recipients(self, offset: int, record: MessageRecord) -> None:
        """Whether it went to those it is for, the sender first."""
        went = [no for no, _ in recipients(record)]
        sender = self._users.get(record.sender)
        if not went or went[0] != sender:
            self._fault(offset, "has not its sender as its first recipient")
            return
        if len(set(went)) != len(went):
            self._fault(offset, "went to somebody twice")
        if record.recipient:
            peer = self._users.get(record.recipient)
            pair = self._pairs.get(record.no)
            if pair is None or set(pair) != {sender, peer}:
                self._fault(offset, "is in the conversation of others")
            if set(went) != {sender, peer}:
                self._fault(offset, "went to others than the two it is for")
        elif record.group:
            if self._groups.get(record.group) != record.no:
                self._fault(offset, "is in the conversation of another group")
            membership = self._memberships.get(record.no)
            if membership is None:
                membership = self._memberships[record.no] = Membership(self._connection, record.no)
            if set(went) != membership.at(record.position):
                self._fault(offset, "went to others than the members of that time")
        elif record.no != 0 or len(went) != 1:
            self._fault(offset, "is a broadcast with recipients of its own")

    def _client_id(self, offset: int, record: MessageRecord) -> None:
        """Whether a retry would be given this row's answer."""
        answer = first_answer(record)
        hashed = key_hash(recipients(record)[0][0], record.format, record.client_id)
        while self._recent:
            oldest, (at, _) = next(iter(self._recent.items()))
            if at >= record.server_at - self._dedupe_seconds:
                break
            del self._recent[oldest]
        before = self._recent.get(hashed)
        if before is not None:
            self._fault(offset, f"has the client id of row {before[1]}, which was to be answered again")
        self._recent[hashed] = (answer.server_at, offset)
        self._recent.move_to_end(hashed)
        if record.revoked_by and not record.digest:
            self._fault(offset, "has a client id, but neither a payload nor its digest")

    def _dedupe(self) -> None:
        """Whether the table of client ids has those of the last day, as far as they are indexed."""
        since = self._now - self._dedupe_seconds
        expected = {
            (hashed, offset)
            for hashed, (at, offset) in self._recent.items()
            if at >= since and offset <= self._watermark
        }
        if not expected:
            return
        first = min(offset for _, offset in expected)
        found = _remembered(self._connection, first)
        for hashed, offset in sorted(expected - found, key=lambda item: item[1])[:5]:
            self._fault(offset, f"has a client id (hash {hashed}) that is not remembered")

    def _fanout(self, offset: int, record: FanoutRecord) -> None:
        if record.message not in self._broadcasts:
            self._fault(offset, f"points to row {record.message}, which is no broadcast")
            return
        went = recipients(record)
        self._broadcasts[record.message] += len(went)
        row = self._connection.execute(
            "SELECT max(upto) FROM fanouts WHERE message = ? AND offset = ?", (record.message, offset)
        ).fetchone()
        if row[0] is None or row[0] < max(no for no, _ in went):
            self._fault(offset, "is not among the rows of its broadcast")

    def _finished_broadcasts(self) -> None:
        users = sorted(self._users.values())
        for message, max_no, done in self._connection.execute("SELECT message, max_no, done FROM broadcasts"):
            if message not in self._broadcasts:
                if message >= self._floor:
                    self._fault(message, "is noted as a broadcast but is none")
                continue
            expected = sum(1 for no in users if no <= max_no) - 1
            # Where it came from another engine, nobody knows who there was when it began.
            if done and max_no and self._broadcasts[message] != expected:
                self._fault(message, f"went to {self._broadcasts[message]} of {expected} users")


def _remembered(connection: sqlite3.Connection, first: int) -> set[tuple[int, int]]:
    """Hashes and log offsets that the table of client ids has from this log offset on."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'dedupe'").fetchone():  # an older file
        return set(connection.execute("SELECT hash, offset FROM dedupe WHERE offset >= ?", (first,)))
    return {
        (hashed, offset)
        for bucket, part, ids in connection.execute("SELECT bucket, part, ids FROM client_ids")
        for hashed, offset in zip(hashes_of(ids), offsets_of(ids), strict=True)
        if offset >= first and is_found(bucket, part, hashed)
    }
