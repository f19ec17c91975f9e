"""Payloads of friend. The notifications about friends are `sessions.Notification`s."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.described.base import Id, Ok, Seconds, Text

RequestNumber = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class FriendOf(Struct):
    """Whom it is about."""

    user_id: Id


class FriendAsk(FriendOf):
    """Whom to ask; the message has at most 512 bytes."""

    message: Annotated[str, Meta(max_length=512)] | UnsetType = UNSET


class FriendNamed(Struct):
    """The request to oneself: who made it, or its number; both must belong together."""

    user_id: Id | UnsetType = UNSET
    request_id: RequestNumber | UnsetType = UNSET


class FriendStanding(Ok):
    """How one stands to `user_id` now; `request_id` is that of one's own open request."""

    user_id: Text
    state: Literal["none", "requested", "friends", "blocked"]
    request_id: RequestNumber | UnsetType = UNSET


class Friend(Struct):
    """A friend."""

    user_id: Text
    since: Seconds


class FriendRequest(Struct):
    """An open request of, or to, `user_id`."""

    request_id: RequestNumber
    user_id: Text
    message: str
    at: Seconds


class BlockedUser(Struct):
    """Somebody one has nothing to do with."""

    user_id: Text
    at: Seconds


class FriendListAnswer(Ok):
    """All of them; with `continued` more of it comes under the same id."""

    friends: list[Friend]
    pending_requests: list[FriendRequest]
    sent_requests: list[FriendRequest]
    blocked: list[BlockedUser]
    continued: Literal[True] | UnsetType = UNSET
