"""The commit point: what is decided about a send, all of it on the reactor thread and in memory.

The rule of this module: nothing in memory is changed before everything that can
fail has been done, so a refusal leaves no trace.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from imserver.backends.embedded.core import Core
from imserver.backends.embedded.dedupe import Key, Remembered, key_hash
from imserver.backends.embedded.records import (
    PACKED_FROM,
    MessageRecord,
    decode,
    encode,
    make_message_id,
    pack_recipients,
    payload_digest,
)
from imserver.backends.embedded.state import GroupState, Pair, State, User, first_answer
from imserver.backends.embedded.targets import knows_otherwise, resolve
from imserver.model.accounts import Principal, Role
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import BROADCAST_NAME, group_name, single_name
from imserver.model.messages import Message, MessageAccepted, SendMessage
from imserver.services.ports import Answer, Entry

_NOBODY: frozenset[str] = frozenset()


class Appender:
    """Decides sends."""

    def __init__(self, core: Core, on_broadcast: Callable[[], None]) -> None:
        self._core = core
        self._on_broadcast = on_broadcast

    def append(self, principal: Principal, command: SendMessage, ticket: Any) -> None:
        """See `Store.append`."""
        try:
            outcome: MessageAccepted | ImError = self._append(principal, command)
        except ImError as error:
            outcome = error
        except UnicodeEncodeError:
            outcome = ImError(ErrorCode.BAD_REQUEST, "the message has text that is not Unicode")
        self._core.journal.batch().answers.append(Answer(ticket, outcome))

    def refuse(self, ticket: Any, error: ImError) -> None:
        """See `Store.refuse`."""
        self._core.journal.batch().answers.append(Answer(ticket, error))

    def _append(self, principal: Principal, command: SendMessage) -> MessageAccepted:
        state = self._core.check_writable()
        sender = state.user(principal.user)
        if sender is None:
            raise ImError(ErrorCode.USER_NOT_FOUND, "the sender has no account")
        peer: User | None = None
        group: GroupState | None = None
        name = ""
        if command.broadcast:
            if command.recipient or command.group:
                raise ImError(ErrorCode.BAD_REQUEST, "a broadcast has no recipient")
            if principal.role is not Role.ADMIN:
                raise ImError(ErrorCode.FORBIDDEN, "only an administrator may broadcast")
            canonical = BROADCAST_NAME
        else:
            peer, group, name = resolve(state, sender, command.conversation, command.recipient, command.group)
            if group is not None:
                canonical = group_name(group.gid)
            else:
                assert peer is not None
                canonical = single_name(sender.name, peer.name)
        key: Key | None = None
        digest = b""
        if command.client_id:
            key = (sender.no, principal.format, command.client_id)
            digest = payload_digest(canonical, command)
            known = self._known(state, key, digest)
            if known is not None:
                return known
        self._take_token(sender, command.broadcast)
        if group is not None:
            return self._to_group(state, principal, command, sender, group, key, digest)
        if peer is not None:
            return self._to_user(state, principal, command, sender, peer, name, canonical, key, digest)
        return self._to_all(state, principal, command, sender, key, digest)

    # Retries and rates

    def _known(self, state: State, key: Key, digest: bytes) -> MessageAccepted | None:
        """The first answer, if this client id was used before in the window. CONFLICT for another payload."""
        kept = state.dedupe.recent.get(key)
        if kept is not None:
            answer, first = kept.answer, kept.digest
        else:
            if not state.dedupe.blooms:
                return None
            found = self._known_on_disk(state, key)
            if found is None:
                return None
            answer, first = first_answer(found), found.digest
        if first != digest:
            raise ImError(ErrorCode.CONFLICT, "this client id was used for another message")
        return answer

    def _known_on_disk(self, state: State, key: Key) -> MessageRecord | None:
        connection = self._core.reader
        for offset in state.dedupe.candidates(connection, key_hash(key), self._core.wall()):
            row = connection.execute("SELECT body FROM log WHERE offset = ?", (offset,)).fetchone()
            if row is None:
                continue
            record = decode(row[0])
            if (
                isinstance(record, MessageRecord)
                and record.client_id == key[2]
                and record.format == key[1]
                and state.user(record.sender) is state.users_by_no.get(key[0])
            ):
                return record
        return None

    def _take_token(self, sender: User, broadcast: bool) -> None:
        settings = self._core.settings
        now = self._core.clock.seconds()
        if broadcast:
            if now - sender.broadcast_at < settings.broadcast_seconds:
                raise ImError(ErrorCode.TOO_FAST, "broadcasts are limited")
            sender.broadcast_at = now
            return
        rate = settings.sends_per_second
        if rate <= 0:
            return
        tokens = min(settings.send_burst, sender.tokens + (now - sender.stamp) * rate)
        if tokens < 1.0:
            raise ImError(ErrorCode.TOO_FAST, "too many messages")
        sender.tokens = tokens - 1.0
        sender.stamp = now

    # One recipient

    def _to_user(
        self,
        state: State,
        principal: Principal,
        command: SendMessage,
        sender: User,
        peer: User,
        name: str,
        canonical: str,
        key: Key | None,
        digest: bytes,
    ) -> MessageAccepted:
        pair = state.pair(sender.no, peer.no)
        learners: list[User] = []
        renamed: list[int] = []
        if name:
            known = sender.names.get(name)
            if known is None or pair is None or known != (pair.no,) or peer.names.get(name) != known:
                name, learners, renamed = self._use_name(state, sender, peer, pair, name)
        position = 1 if pair is None else pair.head + 1
        no = state.next_conversation_no if pair is None else pair.no
        seq = sender.head + 1
        if peer is sender:
            to = [sender.no, seq]
            recipients: tuple[tuple[str, int], ...] = ((sender.name, seq),)
        else:
            peer_seq = peer.head + 1
            to = [sender.no, seq, peer.no, peer_seq]
            recipients = ((sender.name, seq), (peer.name, peer_seq))
        offset = state.next_offset
        message, body = self._write(
            state,
            principal,
            command,
            offset,
            no,
            position,
            name,
            canonical,
            sender.name,
            peer.name,
            "",
            to,
            digest,
            renamed,
        )
        # Nothing can fail from here on.
        journal = self._core.journal
        batch = journal.batch()
        if pair is None:
            pair = state.new_pair(sender.no, peer.no)
            pair.mark = journal.serial
            batch.steps.append(("INSERT INTO pairs VALUES (?, ?, ?)", (pair.no, pair.a, pair.b)))
        for learner in learners:
            self._learn(state, learner, name, pair)
        sender.head = seq
        state.inboxes.add(sender.no, seq, offset)
        if peer is not sender:
            peer.head = peer_seq
            state.inboxes.add(peer.no, peer_seq, offset)
        pair.head = position
        state.conversations.add(no, position, offset)
        names = frozenset(user.name for user in (sender, peer) if user.no in renamed) if renamed else _NOBODY
        return self._accept(state, principal, message, body, offset, recipients, names, seq, key, digest)

    def _use_name(
        self, state: State, sender: User, peer: User, pair: Pair | None, name: str
    ) -> tuple[str, list[User], list[int]]:
        """A client's own name for a pair.

        Returns:
            (the name, "" if no more are remembered; users who get to know it; numbers of users
            who know it for another conversation and are written the canonical one)
        """
        users = [sender] if sender is peer else [sender, peer]
        # A conversation that does not exist yet has a number nobody knows a name for.
        same = pair if pair is not None else Pair(0, 0, 0, 0)
        if pair is not None:
            names = state.names_of_pair(pair)
            if name not in names and len(names) >= self._core.settings.conversation_names:
                return "", [], []
        renamed = [user for user in users if knows_otherwise(state, user, name, same)]
        # The sender said it, so for the sender it denotes this conversation too;
        # the other learns only what it is written.
        learners = [
            user for user in users
            if (user is sender or user not in renamed) and same.no not in state.names_of(user, name)
        ]  # fmt: skip
        return name, learners, [user.no for user in renamed]

    def _learn(self, state: State, user: User, name: str, pair: Pair) -> None:
        user.names[name] = (*state.names_of(user, name), pair.no)
        serial = self._core.journal.serial
        user.mark = pair.mark = serial
        state.names_of_pair(pair).add(name)
        self._core.journal.statement("INSERT OR IGNORE INTO aliases VALUES (?, ?, ?)", user.no, name, pair.no)

    # Groups and broadcasts

    def _to_group(
        self,
        state: State,
        principal: Principal,
        command: SendMessage,
        sender: User,
        group: GroupState,
        key: Key | None,
        digest: bytes,
    ) -> MessageAccepted:
        by_no = state.users_by_no
        users = [sender]
        for no in group.members:
            if no != sender.no:
                users.append(by_no.get(no) or state.user_by_no(no))
        numbers = [user.no for user in users]
        seqs = [user.head + 1 for user in users]
        to: list[int] | bytes
        if len(users) < PACKED_FROM:
            to = [number for both in zip(numbers, seqs, strict=True) for number in both]
        else:
            to = pack_recipients(numbers, seqs)
        offset = state.next_offset
        message, body = self._write(
            state, principal, command, offset, group.no, group.head + 1, "", group_name(group.gid), sender.name, "",
            group.gid, to, digest, [],
        )  # fmt: skip
        add = state.inboxes.add
        for user, seq in zip(users, seqs, strict=True):
            user.head = seq
            add(user.no, seq, offset)
        group.head += 1
        state.conversations.add(group.no, group.head, offset)
        pairs = [(user.name, seq) for user, seq in zip(users, seqs, strict=True)]
        return self._accept(state, principal, message, body, offset, pairs, _NOBODY, seqs[0], key, digest)

    def _to_all(
        self,
        state: State,
        principal: Principal,
        command: SendMessage,
        sender: User,
        key: Key | None,
        digest: bytes,
    ) -> MessageAccepted:
        seq = sender.head + 1
        offset = state.next_offset
        message, body = self._write(
            state, principal, command, offset, 0, state.broadcast_head + 1, "", BROADCAST_NAME, sender.name, "", "",
            [sender.no, seq], digest, [],
        )  # fmt: skip
        values = (offset, state.next_user_no - 1, offset)

        def note(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO broadcasts VALUES (?, ?, 0, ?, 0)", values)

        def committed(_: None) -> None:
            self._core.clock.callLater(0, self._on_broadcast)

        done = self._core.journal.task(note, isolated=False, on_commit=committed)
        done.addErrback(lambda _: None)
        sender.head = seq
        state.inboxes.add(sender.no, seq, offset)
        state.broadcast_head += 1
        state.conversations.add(0, state.broadcast_head, offset)
        return self._accept(
            state, principal, message, body, offset, [(sender.name, seq)], _NOBODY, seq, key, digest
        )

    # What all have in common

    def _write(
        self,
        state: State,
        principal: Principal,
        command: SendMessage,
        offset: int,
        no: int,
        position: int,
        name: str,
        canonical: str,
        sender: str,
        recipient: str,
        group: str,
        to: list[int] | bytes,
        digest: bytes,
        renamed: list[int],
    ) -> tuple[Message, bytes]:
        """The message and its log row. Changes nothing."""
        milliseconds = max(state.last_ms, int(self._core.wall() * 1000))
        server_at = milliseconds / 1000
        message_id = make_message_id(milliseconds, self._core.node, offset)
        content = command.content
        sent_at = command.sent_at or server_at
        body = encode(
            MessageRecord(
                message_id, no, position, name, sender, recipient, group, to, command.client_id,
                principal.format if command.client_id else "", digest, content.form, content.number, content.data,
                sent_at, server_at, command.extra, command.attachments, command.meta, renamed,
            )
        )  # fmt: skip
        message = Message(
            message_id, name or canonical, canonical, position, sender, recipient, group, command.client_id, content,
            sent_at, server_at, command.extra, command.attachments, command.meta,
        )  # fmt: skip
        return message, body

    def _accept(
        self,
        state: State,
        principal: Principal,
        message: Message,
        body: bytes,
        offset: int,
        recipients: Sequence[tuple[str, int]],
        renamed: frozenset[str],
        seq: int,
        key: Key | None,
        digest: bytes,
    ) -> MessageAccepted:
        """Enters the row into memory and into the open batch. Cannot fail."""
        state.next_offset = offset + 1
        state.tail_rows += 1
        state.ids[offset] = message.message_id
        server_at = message.server_at
        state.last_ms = round(server_at * 1000)
        name = message.canonical if message.sender in renamed else message.conversation
        pending = message.canonical == BROADCAST_NAME
        answer = MessageAccepted(message.message_id, name, seq, server_at, pending)
        if key is not None:
            state.dedupe.recent[key] = Remembered(offset, digest, answer)
        journal = self._core.journal
        journal.waiting_rows += 1
        batch = journal.batch()
        batch.rows.append((offset, body))
        batch.entries.append(Entry(message, recipients, renamed, principal.session))
        return answer
