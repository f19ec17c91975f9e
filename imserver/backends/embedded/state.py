"""What decisions are based on: users, conversations, counters, and the tail of the log.

Everything here follows from the disk. It is built at start-up and built again,
by the same code, when a commit failed. Users and conversations are loaded when
they are first needed and forgotten when there are too many.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right

from imserver.backends.embedded.dedupe import Dedupe, key_hash
from imserver.backends.embedded.entities import GroupState, Member, Pair, User
from imserver.backends.embedded.log_rows import ascending, descending, last_offset
from imserver.backends.embedded.new_records import id_block, message_id_of
from imserver.backends.embedded.records import (
    ID_PREFIX,
    FanoutRecord,
    MessageRecord,
    decode,
    milliseconds_in_id,
    offset_in_id,
    recipients,
)
from imserver.backends.embedded.settings import EngineSettings
from imserver.backends.embedded.tails import TailIndex
from imserver.model.ids import single_name

_HEAD = "SELECT first, length(offsets) / 8 FROM {} WHERE no = ? ORDER BY first DESC LIMIT 1"
_INBOX_HEAD = _HEAD.format("inbox_index")
_CONVERSATION_HEAD = _HEAD.format("conversation_index")


class State:
    """Memory over one database.

    Attributes:
        committed: the last log offset that is durable; readers see nothing beyond it.
        indexed_upto: the watermark: rows up to it are in the indexes on the disk.
        tail_rows: records of the log after it, committed or not.
        flushed: nothing after it is in the indexes, as may be after a crash.
        floor: the first log offset that is kept.
        last_ms: the last message's time; ids never go back behind it.
        id_prefix: what its id begins with; "" = not made yet, see `begin_ids`.
        change_head: the last change's number.
        broadcast_head: the last broadcast's position.
    """

    def __init__(self, connection: sqlite3.Connection, settings: EngineSettings) -> None:
        self._connection = connection
        self._settings = settings
        self.users: dict[str, User] = {}
        self.users_by_no: dict[int, User] = {}
        self.pairs: dict[tuple[int, int], Pair] = {}
        self.pairs_by_no: dict[int, Pair] = {}
        self.groups: dict[str, GroupState] = {}
        self.groups_by_no: dict[int, GroupState] = {}
        self.inboxes = TailIndex()
        self.conversations = TailIndex()
        self.dedupe = Dedupe(settings.dedupe_seconds, settings.ids_together_from)
        # Of the log's tail: what message ids begin with, from which offset on; "" = these are no messages.
        self._prefixes: list[str] = []
        self._prefixes_from: list[int] = []
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        self.indexed_upto: int = meta.get("indexed_upto", 0)
        self.floor: int = meta.get("floor", 1)
        self.tail_rows = 0
        self.flushed = False
        self.last_ms = 0
        self.id_prefix = ""
        self._load_counters(connection)
        self._replay(connection)
        self.broadcast_head = self._conversation_head(0)

    def _load_counters(self, connection: sqlite3.Connection) -> None:
        def highest(sql: str) -> int:
            return int(connection.execute(sql).fetchone()[0] or 0)

        self.committed = max(last_offset(connection), self.indexed_upto, self.floor - 1)
        self.next_user_no = highest("SELECT max(no) FROM users") + 1
        self.next_conversation_no = 1 + max(
            highest("SELECT max(no) FROM pairs"), highest("SELECT max(no) FROM groups")
        )
        self.change_head = highest(
            "SELECT seq FROM sqlite_sequence WHERE name = 'changes' UNION ALL SELECT 0 LIMIT 1"
        )
        self.next_offset = self.committed + 1

    def _replay(self, connection: sqlite3.Connection) -> None:
        """Reads the log's tail: what the indexes on the disk do not have yet."""
        self.dedupe.load(connection)
        for body in descending(connection, self.committed):
            record = decode(body)
            if isinstance(record, MessageRecord):
                self.last_ms = milliseconds_in_id(record.message_id)
                break
        for offset, body in ascending(connection, self.indexed_upto + 1):
            self.enter(offset, decode(body))

    def enter(self, offset: int, record: MessageRecord | FanoutRecord) -> None:
        """Puts a record of the log that was read back into the tail."""
        self.tail_rows += 1
        for user_no, seq in recipients(record):
            self.inboxes.add(user_no, seq, offset)
        if isinstance(record, FanoutRecord):
            self.begin_ids(offset, "")
            return
        self.last_ms = max(self.last_ms, milliseconds_in_id(record.message_id))
        named = offset_in_id(record.message_id) == offset
        self.begin_ids(offset, record.message_id[:ID_PREFIX] if named else "")
        self.conversations.add(record.no, record.position, offset)
        if record.client_id:
            sender_no, _ = recipients(record)[0]
            self.dedupe.turn_to(milliseconds_in_id(record.message_id) / 1000, offset)
            self.dedupe.note(key_hash(sender_no, record.format, record.client_id), offset)

    def indexed(self, watermark: int) -> None:
        """Moves the watermark; forgets what is on the disk now (the two big indexes have their own way)."""
        self.indexed_upto = watermark
        past = bisect_right(self._prefixes_from, watermark) - 1
        if past > 0:  # the last one of them may go on
            del self._prefixes[:past], self._prefixes_from[:past]
        self.dedupe.drop_up_to(watermark)

    def begin_ids(self, offset: int, prefix: str) -> None:
        """Ids begin so from this log offset on; "": there are none."""
        if self._prefixes_from and self._prefixes_from[-1] == offset:
            self._prefixes[-1] = prefix  # nothing got the id that was prepared for
        elif not self._prefixes or self._prefixes[-1] != prefix:
            self._prefixes.append(prefix)
            self._prefixes_from.append(offset)

    def id_in_tail(self, offset: int) -> str | None:
        """The id of the message at a log offset, "" if it is none; None if that is not in the tail."""
        if not self.indexed_upto < offset < self.next_offset:
            return None
        prefix = self._prefixes[bisect_right(self._prefixes_from, offset) - 1]
        return message_id_of(id_block(prefix, offset >> 12), offset) if prefix else ""

    # Users

    def user(self, name: str) -> User | None:
        """The user of that name, None without an account."""
        user = self.users.get(name)
        if user is None:
            row = self._connection.execute("SELECT no FROM users WHERE name = ?", (name,)).fetchone()
            if row is not None:
                user = self._add_user(row[0], name)
        return user

    def user_by_no(self, no: int) -> User:
        """The user with that number, which must exist."""
        user = self.users_by_no.get(no)
        if user is None:
            (name,) = self._connection.execute("SELECT name FROM users WHERE no = ?", (no,)).fetchone()
            user = self._add_user(no, name)
        return user

    def _add_user(self, no: int, name: str) -> User:
        head = self.inboxes.last(no) or self._disk_head(_INBOX_HEAD, no)
        user = self.users[name] = self.users_by_no[no] = User(no, name, head)
        return user

    def _disk_head(self, sql: str, no: int) -> int:
        row = self._connection.execute(sql, (no,)).fetchone()
        return 0 if row is None else row[0] + row[1] - 1

    def _conversation_head(self, no: int) -> int:
        return self.conversations.last(no) or self._disk_head(_CONVERSATION_HEAD, no)

    def visible_position(self, no: int) -> int:
        """The highest committed position of a conversation."""
        return self.conversations.visible(no, self._conversation_head(no), self.committed)

    def names_of(self, user: User, name: str) -> tuple[int, ...]:
        """The conversations a user knows by a name of its own."""
        known = user.names.get(name)
        if known is None:
            rows = self._connection.execute(
                "SELECT no FROM aliases WHERE user_no = ? AND name = ?", (user.no, name)
            )
            known = tuple(no for (no,) in rows)
            if known:
                user.learn(name, known)
        return known

    # Conversations

    def pair(self, first: int, second: int) -> Pair | None:
        """The single conversation of two users, None if there is none yet."""
        key = (first, second) if first <= second else (second, first)
        pair = self.pairs.get(key)
        if pair is None:
            row = self._connection.execute("SELECT no FROM pairs WHERE a = ? AND b = ?", key).fetchone()
            if row is not None:
                pair = self._add_pair(row[0], *key)
        return pair

    def pair_by_no(self, no: int) -> Pair:
        """The single conversation with that number, which must exist."""
        pair = self.pairs_by_no.get(no)
        if pair is None:
            a, b = self._connection.execute("SELECT a, b FROM pairs WHERE no = ?", (no,)).fetchone()
            pair = self._add_pair(no, a, b)
        return pair

    def _add_pair(self, no: int, a: int, b: int) -> Pair:
        canonical = single_name(self.user_by_no(a).name, self.user_by_no(b).name)
        pair = self.pairs[a, b] = self.pairs_by_no[no] = Pair(
            no, a, b, canonical, self._conversation_head(no)
        )
        return pair

    def new_pair(self, first: User, second: User) -> Pair:
        """A single conversation that the caller also writes to the disk."""
        a, b = sorted((first.no, second.no))
        pair = self._add_pair(self.next_conversation_no, a, b)
        self.next_conversation_no += 1
        pair.names = set()
        return pair

    def names_of_pair(self, pair: Pair) -> set[str]:
        """Own names in use for a single conversation."""
        if pair.names is None:
            rows = self._connection.execute("SELECT DISTINCT name FROM aliases WHERE no = ?", (pair.no,))
            pair.names = {name for (name,) in rows}
        return pair.names

    def group(self, gid: str) -> GroupState | None:
        """The group, None if there is none or it was deleted."""
        group = self.groups.get(gid)
        if group is None:
            row = self._connection.execute(
                "SELECT no, gid, name, owner, open, password_hash, created_at, encrypted FROM groups"
                " WHERE gid = ? AND deleted_at IS NULL",
                (gid,),
            ).fetchone()
            if row is None:
                return None
            group = self._add_group(row)
        return None if group.deleted else group

    def _add_group(self, row: tuple[int, str, str, int, int, str, float, int]) -> GroupState:
        no, gid, name, owner, is_open, password_hash, created_at, encrypted = row
        group = GroupState(
            no, gid, name, owner, bool(is_open), password_hash, created_at, self._conversation_head(no)
        )
        group.encrypted = bool(encrypted)
        for user_no, user, joined_at, joined_pos in self._connection.execute(
            "SELECT m.user_no, u.name, m.joined_at, m.joined_pos"
            " FROM memberships m JOIN users u ON u.no = m.user_no"
            " WHERE m.no = ? AND m.left_pos IS NULL ORDER BY m.id",
            (no,),
        ):
            group.members[user_no] = Member(user, joined_at, joined_pos)
        group.invited = dict(
            self._connection.execute(
                "SELECT i.user_no, u.name FROM invitations i JOIN users u ON u.no = i.user_no WHERE i.no = ?",
                (no,),
            )
        )
        self.groups[gid] = self.groups_by_no[no] = group
        return group

    # Memory is bounded

    def forget_idle(self, released: int, now: float) -> None:
        """Drops users and conversations that nothing on the way needs, oldest first, if there are too many.

        Args:
            released: batches up to this serial are finished.
            now: the clock of the token buckets.
        """
        limit = self._settings.cached_users
        if len(self.users) > limit:
            tails = self.inboxes.tails
            idle = [
                user for user in self.users.values()
                if user.mark <= released and user.no not in tails
                and now - max(user.stamp, user.broadcast_at) > 60.0
            ]  # fmt: skip
            for user in idle[: len(self.users) - limit // 2]:
                del self.users[user.name], self.users_by_no[user.no]
        waiting = self.conversations.tails
        if len(self.pairs) > 2 * limit:
            quiet = [pair for pair in self.pairs.values() if pair.mark <= released and pair.no not in waiting]
            for pair in quiet[: len(self.pairs) - limit]:
                del self.pairs[pair.a, pair.b], self.pairs_by_no[pair.no]
        if sum(len(group.members) + 1 for group in self.groups.values()) > 2 * limit:
            for group in list(self.groups.values()):
                if group.mark <= released and group.no not in waiting:
                    del self.groups[group.gid], self.groups_by_no[group.no]
