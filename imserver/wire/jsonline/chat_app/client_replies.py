"""Payloads of the dialect chat-app as clients read them: answers and events of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from imserver.model.accounts import LoggedIn, Registered, TokensRefreshed
from imserver.model.calls import CallMedia
from imserver.model.file_relays import RelaysRequested, RelayTo
from imserver.model.friends import Friend, FriendChanged, FriendList, FriendReply, FriendRequest, Standing
from imserver.model.groups import Group, GroupList, GroupMember, GroupReply, GroupRole, MemberList
from imserver.model.messages import Done
from imserver.model.presence import PresenceList, PresenceState, UserPresence
from imserver.wire.jsonline import client as drafted
from imserver.wire.jsonline.chat_app.commands import ChatAppType, find
from imserver.wire.jsonline.chat_app.events import FRIEND_CHANGES
from imserver.wire.jsonline.chat_app.files import accepted_from_fields, event_from_fields
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.errors import error_from_payload
from imserver.wire.jsonline.events import event_from_payload
from imserver.wire.jsonline.messages import MsgBase
from imserver.wire.jsonline.pushes import row_from_dict

Payload = dict[str, Any]


class VoiceEvent(Struct, frozen=True):
    """voice/event as it is told: what of `incoming`, `connected`, … happened to a call."""

    event_type: str
    call: str
    call_type: str
    target: str
    initiator: str
    user: str
    participants: tuple[str, ...] = ()
    duration: int = 0
    reason: str = ""


def _logged_in(payload: Payload) -> LoggedIn:
    return LoggedIn(payload["user_id"], payload["token"], "", payload["expires_in"], 0, 0, "")


def _refreshed(payload: Payload) -> TokensRefreshed:
    return TokensRefreshed(payload["user_id"], payload["token"], "", payload["expires_in"])


def _presence(payload: Payload) -> PresenceList:
    return PresenceList([UserPresence(user, PresenceState.ONLINE, 0.0) for user in payload["users"]])


def _room_of(payload: Payload) -> GroupReply | Done:
    if "owner" not in payload:
        return Done()
    owner, members = payload["owner"], payload["members"]
    return GroupReply(
        Group(
            payload["room_id"],
            payload["room_id"],
            owner,
            False,
            False,
            float(payload["created_at"]),
            len(members),
            [_member(user, owner) for user in members],
            payload["encrypted"],
        )
    )


def _member(user: str, owner: str = "") -> GroupMember:
    return GroupMember(user, GroupRole.OWNER if user == owner else GroupRole.MEMBER, 0.0)


def _rooms(payload: Payload) -> GroupList:
    return GroupList([Group(room, room, "", False, False, 0.0, 0) for room in payload["rooms"]])


def _members(payload: Payload) -> MemberList:
    return MemberList(payload["room_id"], [_member(user) for user in payload["members"]])


def _standing(payload: Payload) -> FriendReply:
    return FriendReply(payload["user_id"], Standing(payload["state"]), payload["request_id"])


def _friends(payload: Payload) -> FriendList:
    return FriendList(
        [Friend(one["friend_id"], float(one["since"])) for one in payload["friends"]],
        [_request(one, one["from_user"]) for one in payload["pending_requests"]],
        [_request(one, one["target_id"]) for one in payload["sent_requests"]],
        [],
    )


def _request(value: Payload, user: str) -> FriendRequest:
    return FriendRequest(value["request_id"], user, value["message"], float(value["created_at"]))


def _requested(payload: Payload) -> RelaysRequested:
    relays = [RelayTo(one["session_id"], one["target_id"]) for one in payload["sessions"]]
    return RelaysRequested(relays, payload["file_name"], payload["file_size"])


READERS: Final[dict[Any, Callable[[Payload], Any]]] = {
    MsgType.LOGIN: _logged_in,
    MsgType.REGISTER: lambda payload: Registered(payload["user_id"]),
    MsgType.REFRESH: _refreshed,
    MsgType.PRESENCE_LIST: _presence,
    MsgType.GROUP_CREATE: _room_of,
    MsgType.GROUP_JOIN: _room_of,
    MsgType.GROUP_INFO: _room_of,
    MsgType.GROUP_LEAVE: _room_of,
    MsgType.GROUP_INVITE: _room_of,
    MsgType.GROUP_KICK: _room_of,
    MsgType.GROUP_DELETE: _room_of,
    MsgType.GROUP_LIST: _rooms,
    MsgType.GROUP_MEMBERS: _members,
    MsgType.FRIEND_REQUEST: _standing,
    MsgType.FRIEND_ACCEPT: _standing,
    MsgType.FRIEND_REJECT: _standing,
    MsgType.FRIEND_DELETE: _standing,
    MsgType.FRIEND_BLOCK: _standing,
    MsgType.FRIEND_UNBLOCK: _standing,
    MsgType.FRIEND_LIST: _friends,
    MsgType.FILE_REQUEST: _requested,
    MsgType.FILE_ACCEPT: accepted_from_fields,
    MsgType.FILE_REJECT: lambda payload: Done(),
    MsgType.FILE_COMPLETE: lambda payload: Done(),
}
"""Readers of answers' payloads that are not the draft's, by the request's command."""

_FRIEND_EVENTS: Final = {word: change for change, word in FRIEND_CHANGES.items()}


def event(message: MsgBase) -> Any:
    """What an event of the server tells. Raises what is in `client.FAULTS`."""
    payload = message.payload
    match message.command:
        case MsgType.MESSAGE_EVENT:
            return row_from_dict(payload)
        case ChatAppType.FRIEND_EVENT:
            return FriendChanged(
                _FRIEND_EVENTS[payload["event_type"]],
                payload["target_id"],
                payload["from_user"],
                float(payload["created_at"]),
                payload["request_id"],
                payload["message"],
            )
        case ChatAppType.VOICE_EVENT:
            return _voice(payload)
        case ChatAppType.VOICE_DATA:
            return CallMedia(bytes.fromhex(payload["data"]), payload["call_id"], payload["from_user"])
        case MsgType.ACK:
            return drafted.SendFailed(message.id, error_from_payload(payload))
    if message.command.startswith("file/"):
        return event_from_fields(message.command, payload)
    known = find(message.command)
    if known is None:
        raise ValueError("an unknown event")
    return event_from_payload(known.name, payload)


def _voice(payload: Payload) -> VoiceEvent:
    return VoiceEvent(
        payload["event_type"],
        payload["call_id"],
        payload["call_type"],
        payload["target_id"],
        payload["initiator"],
        payload["user_id"],
        tuple(payload.get("participants", ())),
        payload.get("duration", 0),
        payload.get("reason", ""),
    )
