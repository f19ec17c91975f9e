"""Messages of one user to another, one or more, one after the other: what was sent, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imserver.model.messages import Message, MessageAccepted, SendMessage


class MessageRow:
    """What messages have in common, once, and the two objects of each that there are anyway.

    A Message of each is made for those who ask; who writes them out needs few of their fields.

    Attributes:
        conversation, canonical, sender, recipient: as in Message; there is a recipient.
        position: the first one's, an int; each of the others has the next one.
        sends: what was sent, in order.
        accepted: what each was answered, of which `message_id` and `server_at` are to be relied on. More are
            added to both until the row is handed on.
    """

    __slots__ = ("_each", "accepted", "canonical", "conversation", "position", "recipient", "sender", "sends")

    def __init__(
        self,
        conversation: str,
        canonical: str,
        sender: str,
        recipient: str,
        position: Any,
        sends: list[SendMessage],
        accepted: list[MessageAccepted],
    ) -> None:
        self.conversation = conversation
        self.canonical = canonical
        self.sender = sender
        self.recipient = recipient
        self.position = position
        self.sends = sends
        self.accepted = accepted
        self._each: Sequence[Message] | None = None

    def __len__(self) -> int:
        return len(self.sends)

    def at(self, index: int) -> Message:
        """One of the messages by itself."""
        if self._each is not None:
            return self._each[index]
        send: Any = self.sends[index]
        accepted: Any = self.accepted[index]
        served: Any = accepted.server_at
        return Message(
            accepted.message_id, self.conversation, self.canonical, self.position + index, self.sender,
            self.recipient, "", send.client_id, send.content, send.sent_at or served, served, send.extra,
            send.attachments, send.meta,
        )  # fmt: skip

    def each(self) -> Sequence[Message]:
        """All of them."""
        if self._each is not None:
            return self._each
        return [self.at(index) for index in range(len(self.sends))]


def row_of(messages: Sequence[Message]) -> MessageRow:
    """Messages that are there, one or more: not revoked, and with the names that a row has once in common."""
    first = messages[0]
    row = MessageRow(
        first.conversation, first.canonical, first.sender, first.recipient, first.position,
        [
            SendMessage(
                message.content, "", message.recipient, "", False, message.client_id, message.sent_at,
                message.extra, message.attachments, message.meta,
            )
            for message in messages
        ],
        [MessageAccepted(one.message_id, one.conversation, 0, one.server_at) for one in messages],
    )  # fmt: skip
    row._each = messages
    return row
