"""The data of REST answers about messages and conversations, as structs. Times are Unix time in seconds."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from imserver.model.conversations import Summary
from imserver.model.messages import InboxRow, Message
from imserver.wire import content as contents
from imserver.wire.jsonline.extensions import ContentType

JsonObject = Annotated[Any, Meta(extra_json_schema={"type": "object"})]
JsonObjects = Annotated[Any, Meta(extra_json_schema={"type": ["array", "null"], "items": {"type": "object"}})]
OptionalObject = Annotated[Any, Meta(extra_json_schema={"type": ["object", "null"]})]


class TargetView(Struct, frozen=True, omit_defaults=True):
    """Where a message went: type user, group or broadcast."""

    type: str
    id: str = ""


class MessageView(Struct, frozen=True, omit_defaults=True):
    """A message; `seq` where it was read from the inbox, `position` is its place in the conversation."""

    message_id: str
    conversation_id: str
    position: int
    sender_id: str
    target: TargetView
    content: JsonObject
    sent_at: float
    seq: int = 0
    client_id: str = ""
    attachments: JsonObjects = None
    meta: OptionalObject = None
    extra: dict[str, str] = {}
    revoked: bool = False
    revoked_by: str = ""
    revoked_at: float = 0.0


class MessagesData(Struct, frozen=True):
    """Messages ascending; go on with `since` = `next_cursor`."""

    messages: list[MessageView]
    next_cursor: str
    has_more: bool


class SentData(Struct, frozen=True):
    """The message is durable; `seq` is its number in the sender's inbox."""

    message_id: str
    conversation_id: str
    seq: int
    sent_at: float
    pending: bool


class ConversationView(Struct, frozen=True):
    """A conversation; `last_message` is null where there is none to see."""

    conversation_id: str
    type: str
    id: str
    title: str
    position: int
    last_message: MessageView | None


class ConversationsData(Struct, frozen=True):
    """Conversations, the one with the newest message first; go on with `after` = `next_cursor`."""

    conversations: list[ConversationView]
    next_cursor: str
    has_more: bool


def message(value: Message, seq: int = 0) -> MessageView:
    """A message as JSON formats write it."""
    if value.group:
        target = TargetView("group", value.group)
    elif value.recipient:
        target = TargetView("user", value.recipient)
    else:
        target = TargetView("broadcast")
    revoked = value.revoked
    if revoked is not None:
        return MessageView(
            value.message_id, value.conversation, value.position, value.sender, target,
            {"type": ContentType.REVOKED.value}, value.server_at, seq, value.client_id,
            revoked=True, revoked_by=revoked.by, revoked_at=revoked.at,
        )  # fmt: skip
    return MessageView(
        value.message_id,
        value.conversation,
        value.position,
        value.sender,
        target,
        msgspec.Raw(contents.to_json(value.content)),
        value.server_at,
        seq,
        value.client_id,
        msgspec.Raw(attachments) if (attachments := contents.attachments_of(value)) else None,
        msgspec.Raw(value.meta) if value.meta else None,
        value.extra,
    )


def rows(values: list[InboxRow]) -> list[MessageView]:
    """Messages of a page."""
    return [message(row.message, row.seq) for row in values]


def conversation(value: Summary) -> ConversationView:
    """A conversation in the list."""
    return ConversationView(
        value.conversation,
        "group" if value.group else "user",
        value.group or value.peer,
        value.title,
        value.position,
        None if value.last is None else message(value.last),
    )
