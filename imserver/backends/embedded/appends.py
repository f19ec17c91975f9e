"""The commit point: what is decided about a send, all of it on the reactor thread and in memory.

The rule of this module: nothing in memory is changed before everything that can
fail has been done, so a refusal leaves no trace.

Sends wait for the end of their reactor turn, or for whatever else looks at the memory or
is refused before that, and are then decided one after the other. The outcome is the same:
nobody sees a decision before its commit. But a processor that does one thing many times
has it in its caches, which takes off an eighth of what a message costs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from twisted.logger import Logger

from imserver.backends.embedded.core import Core
from imserver.backends.embedded.dedupe import PROBE_SHIFT, PROBES, key_hash
from imserver.backends.embedded.entities import GroupState, Pair, User
from imserver.backends.embedded.journal import unavailable
from imserver.backends.embedded.own_names import learn, use_name
from imserver.backends.embedded.records import (
    PACKED_FROM,
    message_id_prefix,
    message_row,
    pack_recipients,
)
from imserver.backends.embedded.relations import NOBODY, check_may_write
from imserver.backends.embedded.retries import Retries
from imserver.backends.embedded.runs import Run
from imserver.backends.embedded.send_rate import SendRate
from imserver.backends.embedded.state import State
from imserver.backends.embedded.targets import resolve
from imserver.model.accounts import Principal, Role
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import BROADCAST_NAME, group_name, single_name
from imserver.model.messages import Message, MessageAccepted, SendMessage
from imserver.services.ports import Answer, Entry

_NOBODY: frozenset[str] = frozenset()


class Send(Struct, frozen=True, gc=False):
    """A send whose target is known and that is new.

    Attributes:
        hashed: of its client id, 0 = it has none.
        doubtful: a filter knows this hash.
    """

    state: State
    principal: Principal
    command: SendMessage
    sender: User
    canonical: str
    hashed: int
    doubtful: bool


class Appender:
    """Decides sends."""

    _log = Logger()

    def __init__(self, core: Core, on_broadcast: Callable[[], None]) -> None:
        self._core = core
        self._on_broadcast = on_broadcast
        self._now = 0.0  # reactor seconds,
        self._milliseconds = 0  # and the time of day, of what is being decided
        self._waiting: list[tuple[Principal, SendMessage, Any]] = []
        core.journal.decide = self._decide
        self._retries = Retries(core)
        self._rate = SendRate(core)
        self.send_delay = self._rate.delay

    def append(self, principal: Principal, command: SendMessage, ticket: Any) -> None:
        """See `Store.append`."""
        if not self._waiting:
            self._core.journal.batch()  # sees to it that this turn has an end
        self._waiting.append((principal, command, ticket))

    def refuse(self, ticket: Any, error: ImError) -> None:
        """See `Store.refuse`."""
        self._decide()
        self._core.journal.batch().answers.append(Answer(ticket, error))

    def _decide(self) -> None:
        waiting = self._waiting
        if not waiting:
            return
        self._waiting = []
        self._now = self._core.clock.seconds()
        self._milliseconds = int(self._core.wall() * 1000)
        if self._core.ready is not None:
            self._turn_to(self._core.ready, len(waiting))
        append = self._append
        answered = self._core.journal.batch().answers.append
        last: Principal | None = None
        recipient = ""
        run: Run | None = None
        for principal, command, ticket in waiting:
            if command.conversation or command.group or command.broadcast:
                last = run = None
            elif principal is last and command.recipient == recipient:
                run = run or self._run(principal, recipient)
            else:
                last, recipient, run = principal, command.recipient, None
            try:
                outcome: MessageAccepted | ImError = (
                    append(principal, command) if run is None else run.send(command)
                )
            except ImError as error:
                outcome = error
            except sqlite3.Error:
                outcome = unavailable("the message store cannot be read now")
            except UnicodeEncodeError:
                outcome = ImError(ErrorCode.BAD_REQUEST, "the message has text that is not Unicode")
            except Exception:
                self._log.failure("a send could not be decided")  # which is no reason to lose the others
                outcome = ImError(ErrorCode.INTERNAL, "internal error")
            answered(Answer(ticket, outcome))

    def _run(self, principal: Principal, recipient: str) -> Run | None:
        """For the second message in a row of one user to another; None: each by itself."""
        state = self._core.ready
        if state is None or self._core.settings.friends_only:
            return None
        try:
            batch = self._core.journal.batch()
            return Run(self._core, self._retries, self._rate, state, batch, principal, recipient, self._now)
        except LookupError:
            return None

    def _turn_to(self, state: State, count: int) -> None:
        """Moves the memory's time on; up to `count` sends are decided at it."""
        if self._milliseconds > state.last_ms or not state.id_prefix:
            state.last_ms = max(state.last_ms, self._milliseconds)
            state.id_prefix = message_id_prefix(state.last_ms, self._core.node)
            state.begin_ids(state.next_offset, state.id_prefix)
        state.dedupe.turn_to(state.last_ms / 1000, state.next_offset, count)

    def _append(self, principal: Principal, command: SendMessage) -> MessageAccepted:
        core = self._core
        state = core.ready
        if state is None or core.journal.waiting_rows >= core.settings.queue_rows:
            state = core.check_writable()
            self._turn_to(state, 1)
        sender = state.users.get(principal.user) or state.user(principal.user)
        if sender is None:
            raise ImError(ErrorCode.USER_NOT_FOUND, "the sender has no account")
        peer: User | None = None
        group: GroupState | None = None
        pair: Pair | None = None
        name = ""
        if command.broadcast:
            if command.recipient or command.group:
                raise ImError(ErrorCode.BAD_REQUEST, "a broadcast has no recipient")
            if principal.role is not Role.ADMIN:
                raise ImError(ErrorCode.FORBIDDEN, "only an administrator may broadcast")
            canonical = BROADCAST_NAME
        else:
            if not (command.conversation or command.group):
                peer = state.users.get(command.recipient)  # most sends; whatever is not so simple is below
            if peer is None:
                peer, group, name = resolve(
                    state, sender, command.conversation, command.recipient, command.group
                )
            if peer is not None:
                no, other = sender.no, peer.no
                pair = state.pairs.get((no, other) if no <= other else (other, no)) or state.pair(no, other)
                canonical = pair.canonical if pair is not None else single_name(sender.name, peer.name)
            else:
                assert group is not None
                canonical = group_name(group.gid)
        hashed = 0
        doubtful = False
        if command.client_id:
            hashed = key_hash(sender.no, principal.format, command.client_id)
            doubtful = state.dedupe.may_know(hashed)
            if doubtful:
                known = self._retries.known(state, sender, principal.format, hashed, canonical, command)
                if known is not None:
                    return known
        if peer is not None and peer is not sender:
            friends_only = core.settings.friends_only
            if peer.blocks is not NOBODY or sender.blocks is not NOBODY or friends_only:
                check_may_write(core.reader, sender, peer, friends_only)
        self._rate.take(sender, command.broadcast, self._now)
        send = Send(state, principal, command, sender, canonical, hashed, doubtful)
        if peer is not None:
            return self._to_user(send, peer, pair, name)
        if group is not None:
            return self._to_group(send, group)
        return self._to_all(send)

    # One recipient

    def _to_user(self, send: Send, peer: User, pair: Pair | None, name: str) -> MessageAccepted:
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

    def _to_group(self, send: Send, group: GroupState) -> MessageAccepted:
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

    def _to_all(self, send: Send) -> MessageAccepted:
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
        message_id = f"{state.id_prefix}{state.next_offset:012x}"
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
        if send.doubtful:
            state.dedupe.note(send.hashed, offset)
        elif send.hashed:
            # As `note` has it: no filter knows this hash, so the tail does not either.
            dedupe, hashed = state.dedupe, send.hashed
            dedupe.recent[hashed] = offset
            layer, mask = dedupe.filling
            layer[hashed & mask] |= PROBES[hashed >> PROBE_SHIFT & 63]
        journal = self._core.journal
        journal.waiting_rows += 1
        batch = journal.batch()
        batch.rows.append((offset, body))
        batch.entries.append(Entry(message, recipients, renamed, send.principal.session))
        return answer
