"""Messages of one user to another, one after the other: what was sent, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imserver.model.messages import Message, MessageAccepted, SendMessage


class MessageRow:
    """What several messages have in common, once, and the two objects of each that there are anyway.

    A Message of each is made for those who ask; who writes them out needs few of their fields.

    Attributes:
        conversation, canonical, sender, recipient: as in Message; there is a recipient.
        position: the first one's; each of the others has the next one.
        sends: what was sent, in order.
        accepted: what each was answered; more are added to both until the row is handed on.
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

    def each(self) -> Sequence[Message]:
        """The messages by themselves."""
        each = self._each
        if each is None or len(each) != len(self.sends):
            each = self._each = [
                Message(
                    accepted.message_id, self.conversation, self.canonical, position, self.sender,
                    self.recipient, "", send.client_id, send.content, send.sent_at or accepted.server_at,
                    accepted.server_at, send.extra, send.attachments, send.meta,
                )
                for position, (send, accepted) in enumerate(
                    zip(self.sends, self.accepted, strict=True), self.position
                )
            ]  # fmt: skip
        return each


def row_of(messages: Sequence[Message]) -> MessageRow:
    """Messages that are there, one or more, not revoked, with the names in common that a row has once."""
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
