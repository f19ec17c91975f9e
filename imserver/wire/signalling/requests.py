"""Payloads to the model's commands: what the server reads (calls: calls.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from imserver.model.accounts import Ping
from imserver.model.messages import (
    AckMessages,
    MarkRead,
    ReadHistory,
    RevokeMessage,
    SendMessage,
    SetTyping,
)
from imserver.model.presence import ListPresence, PresenceState, SetPresence
from imserver.wire import extras
from imserver.wire.depth import check_depth
from imserver.wire.signalling.bodies import read_attachments, read_content, read_meta
from imserver.wire.signalling.calls import READERS as CALL_READERS
from imserver.wire.signalling.envelope import (
    Envelope,
    bad,
    check_number,
    group_text,
    id_text,
    parse_time,
)
from imserver.wire.signalling.fields import read_fields
from imserver.wire.signalling.payloads import (
    AckPayload,
    DeletePayload,
    HistoryPayload,
    PingPayload,
    PresencePayload,
    ReadPayload,
    SendPayload,
    TypingPayload,
)

MAX_READ_IDS: Final = 500
MAX_ECHO_BYTES: Final = 1024

_STATES: Final = {
    state.value: state for state in (PresenceState.ONLINE, PresenceState.AWAY, PresenceState.BUSY)
}
_TARGETS: Final = "to_user, group_id or conversation_id"


def _ping(payload: PingPayload, envelope: Envelope) -> Ping:
    if len(payload.timestamp) > MAX_ECHO_BYTES:
        raise bad(f"timestamp is longer than {MAX_ECHO_BYTES} bytes")
    check_depth(bytes(payload.timestamp), "timestamp")
    return Ping()


def _send(payload: SendPayload, envelope: Envelope) -> SendMessage:
    if payload.content is None:
        raise bad("message.send needs content")
    recipient, group = _target(payload)
    conversation = id_text(payload.conversation_id, "conversation_id")
    if not (recipient or group or conversation):
        raise bad(f"message.send needs {_TARGETS}")
    meta = b""
    if payload.meta is not None or payload.reply_to_id is not None:
        meta = read_meta(payload.meta, id_text(payload.reply_to_id, "reply_to_id"))
    return SendMessage(
        read_content(payload.content, payload.message_type),
        conversation,
        recipient,
        group,
        False,
        id_text(payload.client_msg_id, "client_msg_id"),
        0.0 if envelope.timestamp is None else parse_time(envelope.timestamp),
        read_fields(envelope.payload, {} if payload.extra is None else extras.extra_from_json(payload.extra)),
        b"" if payload.attachments is None else read_attachments(payload.attachments),
        meta,
    )


def _target(payload: Any) -> tuple[str, str]:
    """(recipient, group): at most one of them."""
    recipient, group = id_text(payload.to_user, "to_user"), group_text(payload.group_id)
    if recipient and group:
        raise bad("to_user and group_id exclude each other")
    return recipient, group


def _place(payload: Any) -> tuple[str, str, str]:
    """(conversation, recipient, group), at most one of them: user and group decide, if given."""
    recipient, group = _target(payload)
    conversation = "" if recipient or group else id_text(payload.conversation_id, "conversation_id")
    return conversation, recipient, group


def _ack(payload: AckPayload, envelope: Envelope) -> AckMessages:
    seq = 0 if payload.seq is None else check_number(payload.seq, "seq")
    message_id = payload.message_id or ""
    if not seq and not message_id:
        raise bad("message.ack needs message_id or seq")
    return AckMessages(seq, message_id)


def _read(payload: ReadPayload, envelope: Envelope) -> MarkRead:
    ids = payload.message_ids or ([payload.message_id] if payload.message_id else [])
    if not ids or "" in ids:
        raise bad("message.read needs message_ids or message_id")
    if len(ids) > MAX_READ_IDS:
        raise bad(f"more than {MAX_READ_IDS} message ids")
    return MarkRead(tuple(ids), id_text(payload.conversation_id, "conversation_id"))


def _delete(payload: DeletePayload, envelope: Envelope) -> RevokeMessage:
    if not payload.message_id:
        raise bad("message.delete needs message_id")
    return RevokeMessage(payload.message_id, id_text(payload.conversation_id, "conversation_id"))


def _history(payload: HistoryPayload, envelope: Envelope) -> ReadHistory:
    conversation, recipient, group = _place(payload)
    limit = 0 if payload.limit is None else check_number(payload.limit, "limit")
    return ReadHistory(conversation, recipient, group, id_text(payload.since, "since"), limit)


def _typing(payload: TypingPayload, envelope: Envelope) -> SetTyping:
    if payload.is_typing is None:
        raise bad("typing needs is_typing")
    conversation, recipient, group = _place(payload)
    if not (conversation or recipient or group):
        raise bad(f"typing needs {_TARGETS}")
    return SetTyping(payload.is_typing, conversation, recipient, group)


def _presence(payload: PresencePayload, envelope: Envelope) -> SetPresence | ListPresence:
    if payload.state is None:
        return ListPresence(tuple(id_text(user, "users") for user in payload.users or ()))
    state = _STATES.get(payload.state)
    if state is None:
        raise bad("state must be online, away or busy")
    return SetPresence(state)


Build = Callable[[Any, Envelope], Any]

_READERS: Final[dict[str, tuple[type, Build]]] = {
    "ping": (PingPayload, _ping),
    "message.send": (SendPayload, _send),
    "message.ack": (AckPayload, _ack),
    "message.read": (ReadPayload, _read),
    "message.delete": (DeletePayload, _delete),
    "message.history": (HistoryPayload, _history),
    "typing": (TypingPayload, _typing),
    "presence": (PresencePayload, _presence),
    **CALL_READERS,
}
_BY_TYPE: Final[dict[str, tuple[Callable[[bytes | Raw], Any], Build]]] = {
    name: (msgspec.json.Decoder(payload).decode, build) for name, (payload, build) in _READERS.items()
}
REQUESTS: Final = frozenset(_READERS)
"""The types a client may send."""


def read_payload(envelope: Envelope) -> Any:
    """The typed payload of a request whose type is one of `REQUESTS`.

    Raises:
        ImError: BAD_REQUEST where a field has the wrong type.
    """
    read = _BY_TYPE[envelope.type][0]
    try:
        return read(envelope.payload)
    except msgspec.ValidationError as fault:
        if bytes(envelope.payload) != b"null":
            raise bad(f"payload: {fault}") from None
        return read(b"{}")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise bad("the payload cannot be read") from None


def build_command(payload: Any, envelope: Envelope) -> Any:
    """The model's command.

    Raises:
        ImError: BAD_REQUEST where the payload is not what the type needs.
    """
    return _BY_TYPE[envelope.type][1](payload, envelope)
