"""Payloads of auth, presence, message, friend and room."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.chat_app.described.base import Ok
from imserver.wire.jsonline.described.base import Content, Seconds, Seq, Text
from imserver.wire.jsonline.described.messages import Item
from imserver.wire.jsonline.described.sessions import ClientInfo

Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Truncated = Literal[True] | UnsetType


class Login(Struct):
    """The name and the SHA-256 of the password in hex."""

    username: Text
    password: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    client_info: ClientInfo | UnsetType = UNSET


class AccountAnswer(Ok):
    """After auth/register `token` is empty and `expires_in` 0."""

    token: str
    user_id: Text
    expires_in: Annotated[int, Meta(ge=0)]


class Refresh(Struct):
    """A token that is still good."""

    token: Text


class PresenceAnswer(Ok):
    """Who is there of those one knows."""

    users: list[Text]
    truncated: Truncated = UNSET


class SendAnswer(Struct):
    """The message is stored; 202: it is still being handed out."""

    status: Literal[200, 202]
    message_id: Text
    conversation_id: Text
    seq: Seq
    sent_at: Seconds


class ChatItem(Item):
    """A message, or one of the `parts` of a text that is longer than a line."""

    truncated: Truncated = UNSET
    part: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    parts: Annotated[int, Meta(ge=2)] | UnsetType = UNSET


class ChatEvent(ChatItem, kw_only=True):
    """A message, or a part of one."""

    status: Literal[200]
    seq: Seq
    content: Content


class HistoryAnswer(Ok):
    """A page, ascending."""

    messages: list[ChatItem]
    next_cursor: str
    has_more: bool


class Room(Ok):
    """A room, and who is in it as far as the asker may know."""

    room_id: Text
    encrypted: bool
    owner: Text
    created_at: Seconds
    members: list[Text]
    truncated: Truncated = UNSET


class RoomCreate(Struct):
    """A new room; without a password anybody may join."""

    room_id: Text
    encrypted: bool | UnsetType = UNSET
    password: str | UnsetType = UNSET


class RoomJoin(Struct):
    """With its password, where it has one."""

    room_id: Text
    password: str | UnsetType = UNSET


class RoomId(Struct):
    """Which room."""

    room_id: Text


class RoomMember(Struct):
    """Whom to remove, or to invite."""

    room_id: Text
    user_id: Text


class RoomDone(Ok):
    """It is done."""

    room_id: Text
    user_id: Text | UnsetType = UNSET


class RoomListAnswer(Ok):
    """One's rooms."""

    rooms: list[Text]
    truncated: Truncated = UNSET


class RoomMembersAnswer(Ok):
    """Its members."""

    room_id: Text
    members: list[Text]
    truncated: Truncated = UNSET


class FriendAsk(Struct):
    """Whom one asks, and a word to go with it."""

    target_id: Text
    message: str | UnsetType = UNSET


class FriendRequestId(Struct):
    """Somebody's request to oneself."""

    request_id: Number


class FriendId(Struct):
    """Whom it is about."""

    friend_id: Text


class FriendAnswer(Ok):
    """How one stands to the other one now; `request_id` 0 = none is open."""

    state: Literal["none", "requested", "friends", "blocked"]
    user_id: Text
    target_id: Text
    friend_id: Text
    request_id: Number


class OneFriend(Struct):
    """A friend."""

    friend_id: Text
    user_id: Text
    since: Seconds


class OneRequest(Struct):
    """A request that waits; `user_id` is the other one."""

    request_id: Number
    from_user: Text
    target_id: Text
    user_id: Text
    message: str
    created_at: Seconds


class FriendListAnswer(Ok):
    """Friends, and requests in both directions."""

    friends: list[OneFriend]
    pending_requests: list[OneRequest]
    sent_requests: list[OneRequest]
    truncated: Truncated = UNSET


class FriendEvent(Struct):
    """`from_user` did it, to `target_id`; `friend_id` is the other one of the two."""

    event_type: Literal["new_request", "request_accepted", "request_rejected", "friend_deleted"]
    request_id: Number
    from_user: Text
    target_id: Text
    friend_id: Text
    user_id: Text
    message: str
    created_at: Seconds
