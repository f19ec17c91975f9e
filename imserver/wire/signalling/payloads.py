"""What clients put into `payload`, as typed structs (CONTRACT §4, chat on the same socket).

Fields that a client may leave out may also be null or, ids and names, empty. Fields not
named here are tolerated and ignored. Ids may be JSON integers.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct

from imserver.wire.signalling.envelope import Id


class PingPayload(Struct, gc=False):
    """ping: whatever stands in `timestamp` comes back."""

    timestamp: Raw = Raw(b"")


class SendPayload(Struct):
    """message.send. The carried values are checked by the table of contents, not here."""

    content: Any = None
    to_user: Id | None = None
    group_id: Id | None = None
    conversation_id: Id | None = None
    message_type: str | None = None
    client_msg_id: Id | None = None
    reply_to_id: Id | None = None
    attachments: Any = None
    meta: Any = None
    extra: Any = None


class AckPayload(Struct, gc=False):
    """message.ack: everything up to a seq or a message id has arrived."""

    message_id: str | None = None
    seq: int | None = None


class ReadPayload(Struct):
    """message.read: one id or several."""

    message_ids: list[str] | None = None
    message_id: str | None = None
    conversation_id: Id | None = None


class DeletePayload(Struct, gc=False):
    """message.delete."""

    message_id: str | None = None
    conversation_id: Id | None = None


class HistoryPayload(Struct, gc=False):
    """message.history: a conversation, or the whole inbox where none is named."""

    conversation_id: Id | None = None
    to_user: Id | None = None
    group_id: Id | None = None
    since: Id | None = None
    limit: int | None = None


class TypingPayload(Struct, gc=False):
    """typing."""

    conversation_id: Id | None = None
    to_user: Id | None = None
    group_id: Id | None = None
    is_typing: bool | None = None


class PresencePayload(Struct):
    """presence: with a state, sets it; without, asks for these users or all contacts."""

    state: str | None = None
    users: list[Id] | None = None


class Probe(Struct):
    """What an error can still repeat of a payload that has a fault somewhere."""

    client_msg_id: Any = None
    call_id: Any = None
