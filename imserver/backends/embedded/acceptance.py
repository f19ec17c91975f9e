"""What is done about a send once its target is known and nothing speaks against it.

The rule of this module: nothing in memory is changed before everything that can
fail has been done, so a refusal leaves no trace.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from msgspec import Struct

from imserver.backends.embedded.core import Core
from imserver.backends.embedded.entities import GroupState, Pair, User
from imserver.backends.embedded.new_records import id_block, message_id_of, message_row
from imserver.backends.embedded.own_names import learn, use_name
from imserver.backends.embedded.records import PACKED_FROM, pack_recipients
from imserver.backends.embedded.state import State
from imserver.model.accounts import Principal
from imserver.model.messages import Message, MessageAccepted, SendMessage
from imserver.services.ports import Entry

_NOBODY: frozenset[str] = frozenset()


class Send(Struct, frozen=True, gc=False):
    """A send whose target is known and that is new.

    Attributes:
        hashed: of its client id, 0 = it has none.
    """

    state: State
    principal: Principal
    command: SendMessage
    sender: User
    canonical: str
    hashed: int


class Acceptance:
    """Enters new sends into the memory and into the open batch."""

    def __init__(self, core: Core, on_broadcast: Callable[[], None]) -> None:
        self._core = core
        self._on_broadcast = on_broadcast

    # One recipient

    def to_user(self, send: Send, peer: User, pair: Pair | None, name: str) -> MessageAccepted:
        """To one user.

        Args:
            pair: their conversation; None = there is none yet.
            name: what the sender calls it; "" = as everybody does.
        """
        state, sender = send.state, send.sender
        learners: list[User] = []
        renamed: list[int] = []
        if name:
            known = sender.names.get(name)
            if known is None or pair is None or known != (pair.no,) or peer.names.get(name) != known:
                name, learners, renamed = use_name(state, sender, peer, pair, name, self._core.settings)
        if pair is None:
            no, position = state.next_conversation_no, 1
        else:
            no, position = pair.no, pair.head + 1
        seq = sender.head + 1
        if peer is sender:
            to = [sender.no, seq]
            recipients: tuple[tuple[str, int], ...] = ((sender.name, seq),)
        else:
            peer_seq = peer.head + 1
            to = [sender.no, seq, peer.no, peer_seq]
            recipients = ((sender.name, seq), (peer.name, peer_seq))
        offset = state.next_offset
        message, body = self._write(send, no, position, name, peer.name, "", to, renamed)
        # Nothing can fail from here on.
        if pair is None:
            pair = state.new_pair(sender, peer)
            self._core.journal.statement("INSERT INTO pairs VALUES (?, ?, ?)", pair.no, pair.a, pair.b)
            pair.mark = self._core.journal.serial
        for learner in learners:
            learn(state, self._core.journal, learner, name, pair)
        inboxes = state.inboxes
        sender.head = seq
        inboxes.add(sender.no, seq, offset)
        if peer is not sender:
            peer.head = peer_seq
            inboxes.add(peer.no, peer_seq, offset)
        pair.head = position
        state.conversations.add(no, position, offset)
        names = frozenset(user.name for user in (sender, peer) if user.no in renamed) if renamed else _NOBODY
        return self._accept(send, message, body, recipients, names, seq)

    # Groups and broadcasts

    def to_group(self, send: Send, group: GroupState) -> MessageAccepted:
        """To the members of a group."""
        state, sender = send.state, send.sender
        by_no = state.users_by_no
        users = [sender]
        users += [by_no.get(no) or state.user_by_no(no) for no in group.members if no != sender.no]
        numbers = [user.no for user in users]
        seqs = [user.head + 1 for user in users]
        to: list[int] | bytes
        if len(users) < PACKED_FROM:
            to = [number for both in zip(numbers, seqs, strict=True) for number in both]
        else:
            to = pack_recipients(numbers, seqs)
        offset = state.next_offset
        message, body = self._write(send, group.no, group.head + 1, "", "", group.gid, to, [])
        add = state.inboxes.add
        for user, seq in zip(users, seqs, strict=True):
            user.head = seq
            add(user.no, seq, offset)
        group.head += 1
        state.conversations.add(group.no, group.head, offset)
        recipients = [(user.name, seq) for user, seq in zip(users, seqs, strict=True)]
        return self._accept(send, message, body, recipients, _NOBODY, seqs[0])

    def to_all(self, send: Send) -> MessageAccepted:
        """To everybody; their inboxes get it later, see `broadcasts`."""
        state, sender = send.state, send.sender
        seq = sender.head + 1
        offset = state.next_offset
        message, body = self._write(send, 0, state.broadcast_head + 1, "", "", "", [sender.no, seq], [])
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
        return self._accept(send, message, body, [(sender.name, seq)], _NOBODY, seq)

    # What all have in common

    def _write(
        self,
        send: Send,
        no: int,
        position: int,
        name: str,
        recipient: str,
        group: str,
        to: list[int] | bytes,
        renamed: list[int],
    ) -> tuple[Message, bytes]:
        """The message and its log row. Changes nothing but the memory of the time."""
        state, command, content, sender = send.state, send.command, send.command.content, send.sender.name
        server_at = state.last_ms / 1000
        message_id = message_id_of(id_block(state.id_prefix, state.next_offset >> 12), state.next_offset)
        sent_at = command.sent_at or server_at
        client_id, extra = command.client_id, command.extra
        body = message_row(
            message_id, no, position, name, sender, recipient, group, to, client_id, send.principal.format,
            content, sent_at, server_at, extra, command.attachments, command.meta, renamed,
        )  # fmt: skip
        message = Message(
            message_id, name or send.canonical, send.canonical, position, sender, recipient, group, client_id,
            content, sent_at, server_at, extra, command.attachments, command.meta,
        )  # fmt: skip
        return message, body

    def _accept(
        self,
        send: Send,
        message: Message,
        body: bytes,
        recipients: Sequence[tuple[str, int]],
        renamed: frozenset[str],
        seq: int,
    ) -> MessageAccepted:
        """Enters the row into memory and into the open batch. Cannot fail."""
        state = send.state
        offset = state.next_offset
        state.next_offset = offset + 1
        state.tail_rows += 1
        name = message.canonical if renamed and message.sender in renamed else message.conversation
        answer = MessageAccepted(message.message_id, name, seq, message.server_at, send.command.broadcast)
        if send.hashed:
            state.dedupe.note(send.hashed, offset)
        journal = self._core.journal
        journal.waiting_rows += 1
        batch = journal.batch()
        batch.add(offset, body)
        batch.entries.append(Entry(message, recipients, renamed, send.principal.session))
        return answer
