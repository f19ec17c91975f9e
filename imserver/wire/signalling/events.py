"""Events that are not messages, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import KickReason, SessionKicked
from imserver.model.call_records import CallMissed
from imserver.model.errors import ImError
from imserver.model.friends import FriendChange, FriendChanged
from imserver.model.groups import GroupChange, GroupChanged
from imserver.model.ids import group_name
from imserver.model.messages import MessageRevoked, MessagesRead, TypingChanged
from imserver.model.presence import PresenceChanged, PresenceState, UserPresence
from imserver.wire.base import WireError
from imserver.wire.signalling.call_events import MISSED_CALL, read_missed
from imserver.wire.signalling.envelope import id_value, iso, parse_time
from imserver.wire.signalling.errors import error_from_payload, error_payload
from imserver.wire.signalling.pushes import text_id

SESSION_ENDED: Final = "session_ended"
_FRIEND_EVENTS: Final = frozenset(change.value for change in FriendChange)

Written = tuple[str, dict[str, Any]]


def presence_to_dict(value: UserPresence | PresenceChanged) -> dict[str, Any]:
    """One user's presence; `last_seen` null = never."""
    seen = iso(value.last_seen) if value.last_seen else None
    return {"user_id": id_value(value.user), "state": value.state.value, "last_seen": seen}


def presence_from_dict(value: dict[str, Any]) -> UserPresence:
    """The reverse of `presence_to_dict`."""
    seen = value["last_seen"]
    return UserPresence(
        text_id(value["user_id"]), PresenceState(value["state"]), 0.0 if seen is None else parse_time(seen)
    )


# Server


def _kicked(event: SessionKicked) -> Written:
    payload: dict[str, Any] = {
        "event_type": SESSION_ENDED,
        "reason": event.reason.name.lower(),
        "message": event.text,
    }
    if event.retry_after >= 0.001:
        payload["retry_after"] = round(event.retry_after, 3)
    return "notification", payload


def _error(error: ImError | WireError) -> Written:
    return "error", error_payload(error, {})


def _presence(event: PresenceChanged) -> Written:
    return "presence", presence_to_dict(event)


def _group(event: GroupChanged) -> Written:
    return "notification", {
        "event_type": event.change.value,
        "group_id": id_value(event.group),
        "conversation_id": group_name(event.group),
        "user_id": id_value(event.user),
        "by": id_value(event.by),
        "at": iso(event.at),
    }


def _friend(event: FriendChanged) -> Written:
    payload: dict[str, Any] = {
        "event_type": event.change.value,
        "user_id": id_value(event.user),
        "by": id_value(event.by),
        "at": iso(event.at),
    }
    if event.request:
        payload["request_id"] = event.request
    if event.change is FriendChange.REQUESTED:
        payload["message"] = event.message
    return "notification", payload


def _revoked(event: MessageRevoked) -> Written:
    return "message.delete", {
        "message_id": event.message_id,
        "conversation_id": event.conversation,
        "from_user": id_value(event.by),
        "deleted_at": iso(event.at),
    }


def _read(event: MessagesRead) -> Written:
    return "message.read", {
        "message_ids": event.message_ids,
        "conversation_id": event.conversation,
        "from_user": id_value(event.reader),
        "read_at": iso(event.at),
    }


def _typing(event: TypingChanged) -> Written:
    return "typing", {
        "conversation_id": event.conversation,
        "from_user": id_value(event.user),
        "is_typing": event.typing,
    }


_WRITERS: Final[dict[type, Callable[[Any], Written]]] = {
    SessionKicked: _kicked,
    ImError: _error,
    WireError: _error,
    PresenceChanged: _presence,
    GroupChanged: _group,
    FriendChanged: _friend,
    MessageRevoked: _revoked,
    MessagesRead: _read,
    TypingChanged: _typing,
}


def event_to_payload(event: Any) -> Written | None:
    """The type and payload that tell an event; None if this format has none for it."""
    write = _WRITERS.get(type(event))
    return None if write is None else write(event)


# Client


def _read_notification(
    payload: dict[str, Any],
) -> GroupChanged | SessionKicked | CallMissed | FriendChanged:
    kind = payload["event_type"]
    if kind == MISSED_CALL:
        return read_missed(payload)
    if kind == SESSION_ENDED:
        return SessionKicked(
            KickReason[payload["reason"].upper()],
            payload["message"],
            float(payload.get("retry_after", 0.0)),
        )
    if kind in _FRIEND_EVENTS:
        return FriendChanged(
            FriendChange(kind),
            text_id(payload["user_id"]),
            text_id(payload["by"]),
            parse_time(payload["at"]),
            int(payload.get("request_id", 0)),
            payload.get("message", ""),
        )
    return GroupChanged(
        GroupChange(kind),
        text_id(payload["group_id"]),
        text_id(payload["user_id"]),
        text_id(payload["by"]),
        parse_time(payload["at"]),
    )


def _read_presence(payload: dict[str, Any]) -> PresenceChanged:
    one = presence_from_dict(payload)
    return PresenceChanged(one.user, one.state, one.last_seen)


def _read_revoked(payload: dict[str, Any]) -> MessageRevoked:
    return MessageRevoked(
        text_id(payload["message_id"]),
        text_id(payload["conversation_id"]),
        "",
        text_id(payload["from_user"]),
        parse_time(payload["deleted_at"]),
    )


def _read_read(payload: dict[str, Any]) -> MessagesRead:
    return MessagesRead(
        tuple(text_id(one) for one in payload["message_ids"]),
        text_id(payload["conversation_id"]),
        "",
        text_id(payload["from_user"]),
        parse_time(payload["read_at"]),
    )


def _read_typing(payload: dict[str, Any]) -> TypingChanged:
    return TypingChanged(
        text_id(payload["conversation_id"]), text_id(payload["from_user"]), bool(payload["is_typing"])
    )


EVENT_READERS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "notification": _read_notification,
    "presence": _read_presence,
    "message.delete": _read_revoked,
    "message.read": _read_read,
    "typing": _read_typing,
    "error": error_from_payload,
}
"""Payloads of pushes to events, by type; an error that answers no request in particular is an ImError."""
