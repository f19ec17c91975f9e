"""Events of the dialect chat-app that are not messages."""

from __future__ import annotations

from typing import Any, Final

from imserver.model.friends import FriendChange, FriendChanged
from imserver.wire.jsonline.chat_app.commands import ChatAppType
from imserver.wire.jsonline.chat_app.files import TRANSFERS, file_event
from imserver.wire.jsonline.chat_app.voice import voice_events
from imserver.wire.jsonline.events import event_to_payload

Written = tuple[str, dict[str, Any]]

FRIEND_CHANGES: Final = {
    FriendChange.REQUESTED: "new_request",
    FriendChange.ACCEPTED: "request_accepted",
    FriendChange.REJECTED: "request_rejected",
    FriendChange.DELETED: "friend_deleted",
}
"""What friend/event has words for; everything else comes as notification/event, as in the draft."""


def events_to_payloads(event: Any, user: str, host: str, secure: bool) -> list[Written]:
    """(command, payload) of what tells an event; [] if there are no words for it.

    Args:
        user: whom it is told.
        host / secure: see `files.accepted_fields`.
    """
    if type(event) in TRANSFERS:
        return []
    if type(event) is FriendChanged:
        fields = _friend_event(event, user)
        if fields is not None:
            return [(ChatAppType.FRIEND_EVENT.value, fields)]
    calls = voice_events(event, user)
    if calls is not None:
        return [(ChatAppType.VOICE_EVENT.value, fields) for fields in calls]
    file = file_event(event, host, secure)
    if file is not None:
        return [file]
    written = event_to_payload(event)
    return [] if written is None else [(written[0].value, written[1])]


def _friend_event(event: FriendChanged, user: str) -> dict[str, Any] | None:
    kind = FRIEND_CHANGES.get(event.change)
    if kind is None or (event.change is FriendChange.REQUESTED and event.by == user):
        return None  # one's own request, made on another device, is no new request to oneself
    return {
        "event_type": kind,
        "request_id": event.request,
        "from_user": event.by,
        "target_id": event.user,
        "friend_id": event.by if event.user == user else event.user,
        "user_id": event.by,
        "message": event.message,
        "created_at": int(event.at),
    }
