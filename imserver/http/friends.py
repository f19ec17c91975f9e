"""REST: one's friends, and whom one has blocked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from imserver.http import friend_views as views
from imserver.http.bodies import RequestFriendBody
from imserver.http.table import Access, Call, Route
from imserver.model.friends import (
    AcceptFriend,
    BlockUser,
    DeleteFriend,
    ListFriends,
    RejectFriend,
    RequestFriend,
    UnblockUser,
)


async def _list(call: Call) -> views.FriendsData:
    return views.friends(await call.run(ListFriends()))


async def _request(call: Call) -> views.StandingData:
    body: RequestFriendBody = call.body
    return views.standing(await call.run(RequestFriend(body.user_id, body.message)))


def _about(command: Callable[[str], Any]) -> Callable[[Call], Awaitable[views.StandingData]]:
    """Does something about the user in the path."""

    async def handle(call: Call) -> views.StandingData:
        return views.standing(await call.run(command(call.path["user"])))

    return handle


def _route(
    method: str, path: str, name: str, summary: str, command: Callable[[str], Any], *errors: int
) -> Route:
    return Route(
        method,
        "/api/friends/{user}" + path,
        name,
        summary,
        Access.USER,
        _about(command),
        data=views.StandingData,
        errors=(404, *errors),
    )


ROUTES = (
    Route(
        "GET", "/api/friends", "listFriends", "One's friends, open requests and blocked users",
        Access.USER, _list, data=views.FriendsData,
    ),
    Route(
        "POST", "/api/friends", "requestFriend", "Ask somebody to be a friend", Access.USER, _request,
        data=views.StandingData, body=RequestFriendBody, errors=(404, 409),
    ),
    _route("POST", "/accept", "acceptFriend", "Accept a user's request", AcceptFriend, 409),
    _route("POST", "/reject", "rejectFriend", "Reject a user's request", RejectFriend),
    _route("DELETE", "", "deleteFriend", "End a friendship, or take one's request back", DeleteFriend),
    _route("POST", "/block", "blockUser", "Have nothing to do with a user", BlockUser, 409),
    _route("POST", "/unblock", "unblockUser", "Take a block back", UnblockUser),
)  # fmt: skip
