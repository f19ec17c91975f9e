"""Events that are not messages, in both directions: presence, notifications, kicks, errors."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from imserver.model.accounts import KickReason, SessionKicked
from imserver.model.call_records import CallMissed
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import FriendChanged
from imserver.model.groups import GroupChanged
from imserver.model.messages import MessageRevoked, MessagesRead, TypingChanged
from imserver.model.presence import PresenceChanged, PresenceState, UserPresence
from imserver.wire.base import WireError
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.errors import ProtocolError, error_from_payload
from imserver.wire.jsonline.file_client import FILE_EVENTS, file_event
from imserver.wire.jsonline.files import FILE_EVENT_WRITERS
from imserver.wire.jsonline.friends import FRIEND_EVENTS, news_from_dict, news_to_dict
from imserver.wire.jsonline.groups import change_from_dict, change_to_dict

_KICKS: Final = {KickReason.OTHER_DEVICE: "other_device", KickReason.ACCOUNT: "account"}
_KICK_REASONS: Final = {word: reason for reason, word in _KICKS.items()}

_MISSED_CALL: Final = "missed_call"
_AUDIO: Final = "audio"
_VIDEO: Final = "video"

Written = tuple[MsgType, dict[str, Any]]


def presence_to_dict(value: UserPresence | PresenceChanged) -> dict[str, Any]:
    """One user's presence; `last_seen` in whole seconds, 0 = never."""
    return {"user_id": value.user, "state": value.state.value, "last_seen": int(value.last_seen)}


def presence_from_dict(value: dict[str, Any]) -> UserPresence:
    """The reverse of `presence_to_dict`."""
    return UserPresence(value["user_id"], PresenceState(value["state"]), float(value["last_seen"]))


# Server


def _kicked(event: SessionKicked) -> Written:
    word = _KICKS.get(event.reason)
    if word is None:
        # Shut-down and slowness are no reason to log in anew: come back with the same token.
        name, payload = _error(ImError(ErrorCode.UNAVAILABLE, event.text))
        if event.retry_after >= 0.001:
            payload["retry_after"] = round(event.retry_after, 3)
        return name, payload
    return MsgType.KICK, {"reason": word, "message": event.text}


def _error(error: ImError | WireError) -> Written:
    return MsgType.ERROR, ProtocolError.of(error).to_dict()


def _presence(event: PresenceChanged) -> Written:
    return MsgType.PRESENCE_EVENT, presence_to_dict(event)


def _group(event: GroupChanged) -> Written:
    return MsgType.NOTIFICATION, change_to_dict(event)


def _friend(event: FriendChanged) -> Written:
    return MsgType.NOTIFICATION, news_to_dict(event)


def _revoked(event: MessageRevoked) -> Written:
    return MsgType.NOTIFICATION, {
        "event_type": "message_revoked",
        "message_id": event.message_id,
        "conversation_id": event.conversation,
        "revoked_by": event.by,
        "revoked_at": int(event.at),
    }


def _read(event: MessagesRead) -> Written:
    return MsgType.NOTIFICATION, {
        "event_type": "messages_read",
        "message_ids": event.message_ids,
        "conversation_id": event.conversation,
        "reader_id": event.reader,
        "read_at": int(event.at),
    }


def _missed(event: CallMissed) -> Written:
    return MsgType.NOTIFICATION, {
        "event_type": _MISSED_CALL,
        "call_id": event.call,
        "caller_id": event.caller,
        "callee_id": event.callee,
        "call_type": _VIDEO if event.video else _AUDIO,
        "created_at": int(event.created_at),
        "ended_at": int(event.ended_at),
    }


def _typing(event: TypingChanged) -> Written:
    return MsgType.NOTIFICATION, {
        "event_type": "typing",
        "conversation_id": event.conversation,
        "user_id": event.user,
        "typing": event.typing,
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
    CallMissed: _missed,
    TypingChanged: _typing,
    **FILE_EVENT_WRITERS,
}


def event_to_payload(event: Any) -> Written | None:
    """The command and payload that tell an event; None if this format has none for it."""
    write = _WRITERS.get(type(event))
    return None if write is None else write(event)


# Client


def event_from_payload(name: enum.StrEnum, payload: dict[str, Any]) -> Any:
    """The event in a push that is neither a message nor a page of them.

    Raises:
        ValueError: an event that is not known here.
    """
    if name is MsgType.KICK:
        reason = _KICK_REASONS.get(payload["reason"], KickReason.ACCOUNT)
        return SessionKicked(reason, payload["message"])
    if name is MsgType.ERROR:
        if "retry_after" in payload:
            return SessionKicked(KickReason.SHUTDOWN, payload["error_message"], float(payload["retry_after"]))
        return error_from_payload(payload)
    if name is MsgType.PRESENCE_EVENT:
        one = presence_from_dict(payload)
        return PresenceChanged(one.user, one.state, one.last_seen)
    if name is MsgType.NOTIFICATION:
        return _notification(payload)
    if name in FILE_EVENTS:
        return file_event(name, payload)
    raise ValueError(f"{name} is not an event")


def _notification(payload: dict[str, Any]) -> Any:
    kind = payload["event_type"]
    if kind == "message_revoked":
        return MessageRevoked(
            payload["message_id"],
            payload["conversation_id"],
            "",
            payload["revoked_by"],
            float(payload["revoked_at"]),
        )
    if kind == "messages_read":
        return MessagesRead(
            tuple(payload["message_ids"]),
            payload["conversation_id"],
            "",
            payload["reader_id"],
            float(payload["read_at"]),
        )
    if kind == _MISSED_CALL:
        return CallMissed(
            payload["call_id"],
            payload["caller_id"],
            payload["callee_id"],
            {_AUDIO: False, _VIDEO: True}[payload["call_type"]],
            float(payload["created_at"]),
            float(payload["ended_at"]),
        )
    if kind in FRIEND_EVENTS:
        return news_from_dict(payload)
    if kind == "typing":
        return TypingChanged(payload["conversation_id"], payload["user_id"], payload["typing"])
    return change_from_dict(payload)
