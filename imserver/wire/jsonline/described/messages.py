"""Payloads of message."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.described.base import Content, Id, Ok, Seconds, Seq, Text


class Target(Struct):
    """To whom; a broadcast needs no id."""

    type: Literal["user", "group", "room", "broadcast"]
    id: Id | UnsetType = UNSET


class Send(Struct):
    """A message; the target decides, if there is one."""

    content: Content
    conversation_id: Id | UnsetType = UNSET
    target: Target | UnsetType = UNSET
    attachments: list[dict[str, Any]] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
    extra: dict[str, str] | UnsetType = UNSET


class SendAnswer(Struct):
    """The message is stored; 202: it is still being handed out."""

    status: Literal[200, 202]
    message_id: Text
    conversation_id: Text
    seq: Seq
    sent_at: Seconds


class TargetOf(Struct):
    """To whom a message was sent."""

    type: Literal["user", "group", "broadcast"]
    id: Text | UnsetType = UNSET


class MessageBody(Struct):
    """The draft's `message` object."""

    message_id: Text
    conversation_id: Text
    sender_id: Text
    sent_at: Seconds
    content: Content


class Item(MessageBody):
    """A message in a list. Of one that was taken back nothing but this is left."""

    target: TargetOf
    seq: Seq | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    attachments: list[dict[str, Any]] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
    extra: dict[str, str] | UnsetType = UNSET
    revoked: Literal[True] | UnsetType = UNSET
    revoked_by: Text | UnsetType = UNSET
    revoked_at: Seconds | UnsetType = UNSET


class MessageEvent(Item, kw_only=True):
    """A message: the draft's object, and the same flat beside it."""

    status: Literal[200]
    message: MessageBody
    seq: Seq


class Offline(Ok):
    """A page of what this device has not acknowledged."""

    messages: list[Item]
    has_more: bool
    first_seq: Seq
    max_seq: Seq
    epoch: str


class Ack(Struct):
    """Everything up to this message has arrived."""

    message_id: Text | UnsetType = UNSET
    seq: Annotated[int, Meta(ge=1, le=2**53 - 1)] | UnsetType = UNSET


class History(Struct):
    """A conversation, or the whole inbox."""

    conversation_id: Id | UnsetType = UNSET
    target: Target | UnsetType = UNSET
    since: Text | Seq | UnsetType = UNSET
    limit: Seq | UnsetType = UNSET


class HistoryAnswer(Ok):
    """A page, ascending; with `continued` more of it comes under the same id."""

    messages: list[Item]
    has_more: bool
    next_cursor: str | UnsetType = UNSET
    continued: Literal[True] | UnsetType = UNSET


class Read(Struct):
    """Messages that were read: one or several."""

    message_ids: Annotated[list[Text], Meta(min_length=1, max_length=500)] | UnsetType = UNSET
    message_id: Text | UnsetType = UNSET
    conversation_id: Id | UnsetType = UNSET


class ReadAnswer(Ok):
    """They are marked."""

    read_at: Seconds


class Revoke(Struct):
    """Take a message back."""

    message_id: Text
    conversation_id: Id | UnsetType = UNSET


class RevokeAnswer(Ok):
    """It is taken back."""

    message_id: Text
    revoked_at: Seconds


class Typing(Struct):
    """Began or stopped."""

    typing: bool
    conversation_id: Id | UnsetType = UNSET
    target: Target | UnsetType = UNSET
