"""friend/* in both directions (CONTRACT §6), and the notifications about friends."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from imserver.model.friends import (
    AcceptFriend,
    BlockedUser,
    BlockUser,
    DeleteFriend,
    Friend,
    FriendChange,
    FriendChanged,
    FriendList,
    FriendReply,
    FriendRequest,
    ListFriends,
    RejectFriend,
    RequestFriend,
    Standing,
    UnblockUser,
)
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.messages import Envelope, FriendPayload
from imserver.wire.jsonline.pushes import PAGE_BYTES
from imserver.wire.jsonline.validator import bad, check_number, id_text

FRIEND_LISTS: Final = ("friends", "pending_requests", "sent_requests", "blocked")
"""The lists of the answer to friend/list, in their order."""
FRIEND_EVENTS: Final = frozenset(change.value for change in FriendChange)
"""`event_type` of the notifications about friends."""

_encode: Final = msgspec.json.Encoder().encode


# Server: payload to command


def _user(payload: FriendPayload) -> str:
    user = _maybe_user(payload)
    if not user:
        raise bad("user_id is missing")
    return user


def _maybe_user(payload: FriendPayload) -> str:
    return "" if payload.user_id is None else id_text(payload.user_id, "user_id")


def _named(payload: FriendPayload) -> tuple[str, int]:
    """Whose request, and its number; one of them is there."""
    user = _maybe_user(payload)
    number = 0 if payload.request_id is None else check_number(payload.request_id, "request_id")
    if not user and not number:
        raise bad("user_id or request_id is missing")
    return user, number


def _request(payload: FriendPayload, envelope: Envelope) -> RequestFriend:
    return RequestFriend(_user(payload), payload.message or "")


def _accept(payload: FriendPayload, envelope: Envelope) -> AcceptFriend:
    return AcceptFriend(*_named(payload))


def _reject(payload: FriendPayload, envelope: Envelope) -> RejectFriend:
    return RejectFriend(*_named(payload))


def _delete(payload: FriendPayload, envelope: Envelope) -> DeleteFriend:
    return DeleteFriend(_user(payload))


def _list(payload: FriendPayload, envelope: Envelope) -> ListFriends:
    return ListFriends()


def _block(payload: FriendPayload, envelope: Envelope) -> BlockUser:
    return BlockUser(_user(payload))


def _unblock(payload: FriendPayload, envelope: Envelope) -> UnblockUser:
    return UnblockUser(_user(payload))


FRIEND_READERS: Final[dict[enum.StrEnum, tuple[type, Callable[[Any, Envelope], Any]]]] = {
    MsgType.FRIEND_REQUEST: (FriendPayload, _request),
    MsgType.FRIEND_ACCEPT: (FriendPayload, _accept),
    MsgType.FRIEND_REJECT: (FriendPayload, _reject),
    MsgType.FRIEND_DELETE: (FriendPayload, _delete),
    MsgType.FRIEND_LIST: (FriendPayload, _list),
    MsgType.FRIEND_BLOCK: (FriendPayload, _block),
    MsgType.FRIEND_UNBLOCK: (FriendPayload, _unblock),
}


# Client: command to payload


def _request_payload(command: RequestFriend) -> dict[str, Any]:
    payload = _user_payload(command)
    if command.message:
        payload["message"] = command.message
    return payload


def _named_payload(command: AcceptFriend | RejectFriend) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    if command.user:
        payload["user_id"] = command.user
    if command.request:
        payload["request_id"] = command.request
    return payload


def _user_payload(command: Any) -> dict[str, Any]:
    return {"user_id": command.user}


def _no_payload(command: ListFriends) -> dict[str, Any]:
    return {}


FRIEND_WRITERS: Final[dict[type, tuple[MsgType, Callable[[Any], dict[str, Any]]]]] = {
    RequestFriend: (MsgType.FRIEND_REQUEST, _request_payload),
    AcceptFriend: (MsgType.FRIEND_ACCEPT, _named_payload),
    RejectFriend: (MsgType.FRIEND_REJECT, _named_payload),
    DeleteFriend: (MsgType.FRIEND_DELETE, _user_payload),
    ListFriends: (MsgType.FRIEND_LIST, _no_payload),
    BlockUser: (MsgType.FRIEND_BLOCK, _user_payload),
    UnblockUser: (MsgType.FRIEND_UNBLOCK, _user_payload),
}


# Both: answers


def standing_to_dict(reply: FriendReply) -> dict[str, Any]:
    """What answers every command but friend/list; `request_id` is that of one's own open request."""
    fields: dict[str, Any] = {"user_id": reply.user, "state": reply.standing.value}
    if reply.request:
        fields["request_id"] = reply.request
    return fields


def standing_from_dict(value: dict[str, Any]) -> FriendReply:
    """The reverse of `standing_to_dict`."""
    return FriendReply(value["user_id"], Standing(value["state"]), value.get("request_id", 0))


def friend_list_payloads(reply: FriendList) -> list[bytes]:
    """What answers friend/list: one payload, or several of which all but the last are `continued`."""
    items = [("friends", _encode({"user_id": one.user, "since": int(one.since)})) for one in reply.friends]
    items += [("pending_requests", _request_item(one)) for one in reply.received]
    items += [("sent_requests", _request_item(one)) for one in reply.sent]
    items += [("blocked", _encode({"user_id": one.user, "at": int(one.at)})) for one in reply.blocked]
    parts: list[bytes] = []
    size, start = 0, 0
    for index, (_, one) in enumerate(items):
        if size and size + len(one) > PAGE_BYTES:
            parts.append(_part(items[start:index], True))
            size, start = 0, index
        size += len(one) + 1
    parts.append(_part(items[start:], False))
    return parts


def _request_item(request: FriendRequest) -> bytes:
    return _encode(
        {
            "request_id": request.request,
            "user_id": request.user,
            "message": request.message,
            "at": int(request.at),
        }
    )


def _part(items: Sequence[tuple[str, bytes]], continued: bool) -> bytes:
    payload: dict[str, Any] = {"status": 200}
    for name in FRIEND_LISTS:
        payload[name] = msgspec.Raw(b"[%b]" % b",".join([one for where, one in items if where == name]))
    if continued:
        payload["continued"] = True
    return _encode(payload)


def friend_list_from_dict(value: dict[str, Any]) -> FriendList:
    """The reverse of `friend_list_payloads`, whose parts were joined."""
    return FriendList(
        [Friend(one["user_id"], float(one["since"])) for one in value["friends"]],
        [_request_from_dict(one) for one in value["pending_requests"]],
        [_request_from_dict(one) for one in value["sent_requests"]],
        [BlockedUser(one["user_id"], float(one["at"])) for one in value["blocked"]],
    )


def _request_from_dict(value: dict[str, Any]) -> FriendRequest:
    return FriendRequest(value["request_id"], value["user_id"], value["message"], float(value["at"]))


# Both: what happened


def news_to_dict(event: FriendChanged) -> dict[str, Any]:
    """The payload of notification/event."""
    payload: dict[str, Any] = {
        "event_type": event.change.value,
        "user_id": event.user,
        "by": event.by,
        "at": int(event.at),
    }
    if event.request:
        payload["request_id"] = event.request
    if event.change is FriendChange.REQUESTED:
        payload["message"] = event.message
    return payload


def news_from_dict(value: dict[str, Any]) -> FriendChanged:
    """The reverse of `news_to_dict`."""
    return FriendChanged(
        FriendChange(value["event_type"]),
        value["user_id"],
        value["by"],
        float(value["at"]),
        value.get("request_id", 0),
        value.get("message", ""),
    )
