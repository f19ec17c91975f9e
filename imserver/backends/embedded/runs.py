"""Several messages in a row from one user to another, decided with what they have in common looked up once.

A client that does not wait for each answer before it sends the next message, a gateway, a program: what one
read of their connection brings is mostly one conversation's. Everything here could as well be done by
`Appender` alone, and comes to the same; it costs a third less.
"""

from __future__ import annotations

from typing import Any

from imserver.backends.embedded.committer import Batch
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.dedupe import hash_of
from imserver.backends.embedded.journal import unavailable
from imserver.backends.embedded.new_records import id_block, message_id_of, message_row
from imserver.backends.embedded.relations import NOBODY
from imserver.backends.embedded.retries import Retries
from imserver.backends.embedded.send_rate import SendRate
from imserver.backends.embedded.state import State
from imserver.model.accounts import Principal
from imserver.model.message_rows import MessageRow
from imserver.model.messages import MessageAccepted, SendMessage
from imserver.services.ports import EntryRow


class Run:
    """One sender's messages to one user, in one reactor turn; while it lasts nothing else is decided."""

    __slots__ = (
        "_batch", "_body", "_conversation", "_core", "_hash", "_now", "_own", "_pair", "_peer", "_principal",
        "_rate", "_retries", "_row", "_sender", "_server_at", "_state", "_theirs",
    )  # fmt: skip

    def __init__(
        self,
        core: Core,
        retries: Retries,
        rate: SendRate,
        state: State,
        batch: Batch,
        principal: Principal,
        recipient: str,
        now: float,
    ) -> None:
        """Raises LookupError where one of the two, or their conversation, has not been written to of late."""
        self._core = core
        self._retries = retries
        self._rate = rate
        self._state = state
        self._batch = batch
        if not batch.bodies:  # as in `Batch.add`, of which the rest is `_body`
            batch.first = state.next_offset
        self._body = batch.bodies.append
        self._principal = principal
        self._row: MessageRow | None = None  # of the entry
        self._now = now
        self._server_at: Any = state.last_ms / 1000
        sender = self._sender = state.users[principal.user]
        peer = self._peer = state.users[recipient]
        pair = self._pair = state.pairs[
            (sender.no, peer.no) if sender.no <= peer.no else (peer.no, sender.no)
        ]
        self._own = state.inboxes.tails[sender.no].offsets.append
        self._theirs = state.inboxes.tails[peer.no].offsets.append
        self._conversation = state.conversations.tails[pair.no].offsets.append
        self._hash = hash_of(sender.no, principal.format)
        if peer is sender or peer.blocks is not NOBODY or sender.blocks is not NOBODY:
            raise LookupError("what is to be looked at for each message")

    def send(self, command: SendMessage) -> MessageAccepted:
        """Decides one. Raises ImError.

        As in `Appender`, nothing in memory is changed before everything that can fail has been done.
        """
        core, state, sender, peer, pair = self._core, self._state, self._sender, self._peer, self._pair
        journal = core.journal
        if core.ready is not state or journal.waiting_rows >= core.settings.queue_rows:
            raise unavailable()
        format, client_id, canonical = self._principal.format, command.client_id, pair.canonical
        dedupe = state.dedupe
        hashed = 0
        if client_id:
            hashed = self._hash(client_id)
            if dedupe.may_know(hashed):
                known = self._retries.known(state, sender, format, hashed, canonical, command)
                if known is not None:
                    return known
        if sender.stamp == self._now and sender.tokens >= 1.0:
            sender.tokens -= 1.0  # as SendRate has it, where no time has passed
        else:
            self._rate.take(sender, False, self._now)
        # Compiled, a number is boxed anew wherever it is handed on; as `Any` it is one object for all.
        sending: Any = command
        offset, position, seq, peer_seq = state.next_offset, pair.head + 1, sender.head + 1, peer.head + 1
        at: Any = offset
        number: Any = seq
        server_at: Any = self._server_at
        sent_at: Any = sending.sent_at or server_at
        message_id = message_id_of(id_block(state.id_prefix, offset >> 12), offset)
        name, peer_name = sender.name, peer.name
        body = message_row(
            message_id, pair.no, position, "", name, peer_name, "", [sender.no, number, peer.no, peer_seq],
            client_id, format, command.content, sent_at, server_at, command.extra, command.attachments,
            command.meta, (),
        )  # fmt: skip
        accepted = MessageAccepted(message_id, canonical, number, server_at)
        # Nothing can fail from here on.
        sender.head = seq
        self._own(at)
        peer.head = peer_seq
        self._theirs(at)
        state.inboxes.entries += 2
        pair.head = position
        self._conversation(at)
        state.conversations.entries += 1
        state.next_offset = offset + 1
        state.tail_rows += 1
        journal.waiting_rows += 1
        if hashed:
            dedupe.note(hashed, at)
        self._body(body)
        row = self._row
        if row is None:
            row = MessageRow(canonical, canonical, name, peer_name, position, [command], [accepted])
            self._row = row
            recipients = ((name, number), (peer_name, peer_seq))
            self._batch.entries.append(EntryRow(row, recipients, self._principal.session))
        else:
            row.sends.append(command)
            row.accepted.append(accepted)
        return accepted
