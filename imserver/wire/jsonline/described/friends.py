"""Payloads of friend."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.described.base import Id, Ok, Seconds, Text

RequestNumber = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class FriendUser(Struct):
    """Whom it is about."""

    user_id: Id


class FriendAsk(FriendUser):
    """A request, with a word to go with it."""

    message: Annotated[str, Meta(description="at most 512 bytes of UTF-8")] | UnsetType = UNSET


class FriendRequestId(Struct):
    """Somebody's request to oneself, by its number or by who made it."""

    user_id: Id | UnsetType = UNSET
    request_id: RequestNumber | UnsetType = UNSET


class FriendAnswer(Ok):
    """How one stands to the user now; `request_id` is that of one's own open request."""

    user_id: Text
    state: Literal["none", "requested", "friends", "blocked"]
    request_id: RequestNumber | UnsetType = UNSET


class FriendSince(Struct):
    """A friend."""

    user_id: Text
    since: Seconds


class OpenRequest(Struct):
    """A request that waits; `user_id` is the other one."""

    request_id: RequestNumber
    user_id: Text
    message: str
    at: Seconds


class BlockedSince(Struct):
    """Whom one has blocked."""

    user_id: Text
    at: Seconds


class FriendListAnswer(Ok):
    """All four lists; with `continued` more of them come under the same id."""

    friends: list[FriendSince]
    pending_requests: list[OpenRequest]
    sent_requests: list[OpenRequest]
    blocked: list[BlockedSince]
    continued: Literal[True] | UnsetType = UNSET
