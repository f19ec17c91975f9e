"""The commit point: what is decided about a send, all of it on the reactor thread and in memory.

Sends wait for the end of their reactor turn, or for whatever else looks at the memory or
is refused before that, and are then decided one after the other. The outcome is the same:
nobody sees a decision before its commit. But a processor that does one thing many times
has it in its caches, which takes off an eighth of what a message costs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.logger import Logger

from imserver.backends.embedded.acceptance import Acceptance, Send
from imserver.backends.embedded.committer import Batch
from imserver.backends.embedded.core import Core
from imserver.backends.embedded.dedupe import key_hash
from imserver.backends.embedded.entities import GroupState, Pair, User
from imserver.backends.embedded.journal import unavailable
from imserver.backends.embedded.records import message_id_prefix
from imserver.backends.embedded.relations import NOBODY, check_may_write
from imserver.backends.embedded.retries import Retries
from imserver.backends.embedded.runs import Run
from imserver.backends.embedded.send_rate import SendRate
from imserver.backends.embedded.state import State
from imserver.backends.embedded.targets import resolve
from imserver.model.accounts import Principal, Role
from imserver.model.errors import ErrorCode, ImError, alone
from imserver.model.ids import BROADCAST_NAME, group_name, single_name
from imserver.model.messages import MessageAccepted, SendMessage


class Appender:
    """Decides sends."""

    _log: ClassVar[Any] = Logger()

    def __init__(self, core: Core, on_broadcast: Callable[[], None]) -> None:
        self._core = core
        self._acceptance = Acceptance(core, on_broadcast)
        self._now = 0.0  # reactor seconds,
        self._milliseconds = 0  # and the time of day, of what is being decided
        # What waits, in columns: three entries cost less than a tuple, of which thousands may wait.
        self._principals: list[Principal] = []
        self._commands: list[SendMessage] = []
        self._tickets: list[Any] = []
        core.journal.decide = self._decide
        self._retries = Retries(core)
        self._rate = SendRate(core)
        self.send_delay = self._rate.delay

    def append(self, principal: Principal, command: SendMessage, ticket: Any) -> None:
        """See `Store.append`."""
        if not self._tickets:
            self._core.journal.batch()  # sees to it that this turn has an end
        self._principals.append(principal)
        self._commands.append(command)
        self._tickets.append(ticket)

    def refuse(self, ticket: Any, error: ImError) -> None:
        """See `Store.refuse`."""
        self._decide()
        batch = self._core.journal.batch()
        batch.tickets.append(ticket)
        batch.outcomes.append(alone(error))

    def _decide(self) -> None:
        principals, commands, tickets = self._principals, self._commands, self._tickets
        if not tickets:
            return
        self._principals, self._commands, self._tickets = [], [], []
        self._now = self._core.clock.seconds()
        self._milliseconds = int(self._core.wall() * 1000)
        if self._core.ready is not None:
            self._turn_to(self._core.ready)
        append, batch = self._append, self._core.journal.batch()
        outcomes = batch.outcomes
        batch.tickets += tickets
        last: Principal | None = None
        recipient = ""
        run: Run | None = None
        for principal, command in zip(principals, commands, strict=True):
            try:
                if command.conversation or command.group or command.broadcast:
                    last = run = None
                elif principal is last and command.recipient == recipient:
                    run = run or self._run(batch, principal, recipient)
                else:
                    last, recipient, run = principal, command.recipient, None
                    run = self._run(batch, principal, recipient)
                outcome: MessageAccepted | ImError = (
                    append(principal, command) if run is None else run.send(command)
                )
            except ImError as error:
                outcome = alone(error)
            except sqlite3.Error:
                outcome = unavailable("the message store cannot be read now")
            except UnicodeEncodeError:
                outcome = ImError(ErrorCode.BAD_REQUEST, "the message has text that is not Unicode")
            except Exception:
                self._log.failure("a send could not be decided")  # which is no reason to lose the others
                outcome = ImError(ErrorCode.INTERNAL, "internal error")
            outcomes.append(outcome)

    def _run(self, batch: Batch, principal: Principal, recipient: str) -> Run | None:
        """For messages in a row of one user to another, or a single one; None: each in the general way."""
        state = self._core.ready
        if state is None or self._core.settings.friends_only:
            return None
        try:
            return Run(self._core, self._retries, self._rate, state, batch, principal, recipient, self._now)
        except LookupError:
            return None

    def _turn_to(self, state: State) -> None:
        """Moves the memory's time on."""
        if self._milliseconds > state.last_ms or not state.id_prefix:
            state.last_ms = max(state.last_ms, self._milliseconds)
            state.id_prefix = message_id_prefix(state.last_ms, self._core.node)
            state.begin_ids(state.next_offset, state.id_prefix)
        state.dedupe.turn_to(state.last_ms / 1000, state.next_offset)

    def _append(self, principal: Principal, command: SendMessage) -> MessageAccepted:
        core = self._core
        state = core.ready
        if state is None or core.journal.waiting_rows >= core.settings.queue_rows:
            state = core.check_writable()
            self._turn_to(state)
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
        if command.client_id:
            hashed = key_hash(sender.no, principal.format, command.client_id)
            if state.dedupe.may_know(hashed):
                known = self._retries.known(state, sender, principal.format, hashed, canonical, command)
                if known is not None:
                    return known
        if peer is not None and peer is not sender:
            friends_only = core.settings.friends_only
            if peer.blocks is not NOBODY or sender.blocks is not NOBODY or friends_only:
                check_may_write(core.reader, sender, peer, friends_only)
        self._rate.take(sender, command.broadcast, self._now)
        send = Send(state, principal, command, sender, canonical, hashed)
        if peer is not None:
            return self._acceptance.to_user(send, peer, pair, name)
        if group is not None:
            return self._acceptance.to_group(send, group)
        return self._acceptance.to_all(send)
