"""The data of REST answers about friends, as structs. Times are Unix time in seconds."""

from __future__ import annotations

from msgspec import Struct

from imserver.model.friends import FriendList, FriendReply, FriendRequest


class FriendView(Struct, frozen=True):
    """A friend."""

    user_id: str
    since: float


class FriendRequestView(Struct, frozen=True):
    """An open request; `user_id` is the other one."""

    request_id: int
    user_id: str
    message: str
    at: float


class BlockedView(Struct, frozen=True):
    """Somebody one has blocked."""

    user_id: str
    at: float


class FriendsData(Struct, frozen=True):
    """Friends, requests to oneself and of one's own, and whom one has blocked; each by user id."""

    friends: list[FriendView]
    pending_requests: list[FriendRequestView]
    sent_requests: list[FriendRequestView]
    blocked: list[BlockedView]


class StandingData(Struct, frozen=True):
    """How one stands to `user_id`: none, requested, friends or blocked.

    `request_id` is that of one's own open request, 0 = there is none.
    """

    user_id: str
    state: str
    request_id: int


def friends(value: FriendList) -> FriendsData:
    """The lists."""
    return FriendsData(
        [FriendView(one.user, one.since) for one in value.friends],
        _requests(value.received),
        _requests(value.sent),
        [BlockedView(one.user, one.at) for one in value.blocked],
    )


def _requests(values: list[FriendRequest]) -> list[FriendRequestView]:
    return [FriendRequestView(one.request, one.user, one.message, one.at) for one in values]


def standing(value: FriendReply) -> StandingData:
    """What answers everything but the list."""
    return StandingData(value.user, value.standing.value, value.request)
