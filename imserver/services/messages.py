"""Sending, reading and what is said about messages afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from imserver.model.accounts import Principal
from imserver.model.conversations import ConversationPage, ListConversations
from imserver.model.errors import ErrorCode, ImError, raise_if
from imserver.model.messages import (
    Done,
    InboxPage,
    MarkRead,
    MessageAccepted,
    MessagePage,
    MessageRevokedReply,
    MessagesMarked,
    ReadHistory,
    RevokeMessage,
    SendMessage,
    SetTyping,
    SyncInbox,
    TypingChanged,
)
from imserver.services.ports import Bus, Conversation, Store
from imserver.services.sending import Sending, name_fault

DEFAULT_ROWS = 100
MAX_ROWS = 500
MAX_READ_IDS = 500
QUIET_MEMBERS = 100


class MessageSettings(msgspec.Struct, frozen=True):
    """Limits on messages.

    Attributes:
        content_bytes: content, extra, attachments and meta of a message together.
        page_bytes: where pages end.
        revoke_seconds: how long a message may be taken back.
    """

    content_bytes: int = 64 * 1024
    page_bytes: int = 192 * 1024
    revoke_seconds: float = 120.0


class _Waiting:
    """Takes the one answer to a send; the first half of a ticket, as a session is."""

    __slots__ = ("answered",)

    def __init__(self) -> None:
        self.answered: Deferred[MessageAccepted] = Deferred()

    def answer(self, tags: Sequence[Any], outcomes: Sequence[MessageAccepted | ImError]) -> None:
        """See services.sessions.Receiver."""
        (outcome,) = outcomes
        if isinstance(outcome, ImError):
            self.answered.errback(outcome)
        else:
            self.answered.callback(outcome)


class Messages:
    """The rules for messages.

    Attributes:
        submit: see Sending.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        settings: MessageSettings,
        may_type: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        """Args:
        may_type: whether the second user may be told that the first one is typing.
        """
        self._store = store
        self._bus = bus
        self._settings = settings
        self._may_type = may_type
        self.submit = Sending(store, settings.content_bytes).submit

    def send_delay(self, principal: Principal) -> float:
        """Seconds until the send rate lets a message through; 0.0: now."""
        return self._store.send_delay(principal.user)

    async def send(self, principal: Principal, command: SendMessage) -> MessageAccepted:
        """Sends a message for somebody who waits for the answer (`Dispatch`). Sessions use `submit`."""
        waiting = _Waiting()
        self.submit(principal, command, (waiting, None))
        return await waiting.answered

    async def sync(self, principal: Principal, command: SyncInbox) -> InboxPage:
        """Rows of one's own inbox (document 001, SYNC)."""
        return await self._store.inbox(
            principal.user,
            max(0, command.after),
            max(0, command.at_least),
            _rows(command.limit),
            self._settings.page_bytes,
        )

    async def history(self, principal: Principal, command: ReadHistory) -> MessagePage:
        """A conversation as far as one may see it, or the whole inbox (document 004 §7)."""
        page_bytes = self._settings.page_bytes
        if command.page_bytes > 0:
            page_bytes = min(command.page_bytes, page_bytes)
        return await self._store.history(principal.user, command, _rows(command.limit), page_bytes)

    async def conversations(self, principal: Principal, command: ListConversations) -> ConversationPage:
        """One's conversations, the one with the newest message first."""
        return await self._store.conversations(
            principal.user, command.after, _rows(command.limit), self._settings.page_bytes
        )

    async def mark_read(self, principal: Principal, command: MarkRead) -> MessagesMarked:
        """Read receipts (document 001, 7)."""
        if len(command.message_ids) > MAX_READ_IDS:
            raise ImError(ErrorCode.BAD_REQUEST, f"more than {MAX_READ_IDS} message ids")
        if not command.message_ids:
            raise ImError(ErrorCode.BAD_REQUEST, "no message ids")
        return await self._store.mark_read(principal, command)

    async def revoke(self, principal: Principal, command: RevokeMessage) -> MessageRevokedReply:
        """Takes a message back (document 001, 9)."""
        if not command.message_id:
            raise ImError(ErrorCode.BAD_REQUEST, "no message id")
        return await self._store.revoke(principal, command, self._settings.revoke_seconds)

    async def typing(self, principal: Principal, command: SetTyping) -> Done:
        """Tells the other members, up to 100 of them (document 001, 8)."""
        if command.conversation:
            raise_if(name_fault(command.conversation))
        found = await self._store.resolve(
            principal.user, command.conversation, command.recipient, command.group
        )
        if found.peer and not await self._may_type(principal.user, found.peer):
            return Done()  # as if nobody looked
        if len(found.members) <= QUIET_MEMBERS:
            others = [member for member in found.members if member != principal.user]
            name = await self._name_for_both(found)
            event = TypingChanged(name, principal.user, command.typing)
            self._bus.publish(others, event, principal.session)
        return Done()

    async def _name_for_both(self, found: Conversation) -> str:
        """The asker's own name of a single conversation, where it denotes the same one to the peer."""
        if found.name != found.canonical and found.peer:
            try:
                theirs = await self._store.resolve(found.peer, found.name)
            except ImError:
                return found.canonical
            if theirs.canonical == found.canonical:
                return found.name
        return found.canonical


def _rows(limit: int) -> int:
    return DEFAULT_ROWS if limit <= 0 else min(limit, MAX_ROWS)
