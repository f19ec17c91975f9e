"""Friends, open requests and blocks in Redis. Keys: `keys`, "Friends".

Each deed is one script, which also writes the change that tells of it and puts it on the feed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imserver.backends.redis.core import Core
from imserver.backends.redis.groups import companions
from imserver.backends.redis.scripts import Script, lua
from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import (
    AcceptFriend,
    BlockedUser,
    DeleteFriend,
    Friend,
    FriendList,
    FriendReply,
    FriendRequest,
    RejectFriend,
    RequestFriend,
    Standing,
)
from imserver.services.ports.friends import Circle, FriendLimits

_COMMON = ("pairs", "feed", "changes", "friends")
_REQUEST = Script("friend_request", *lua(*_COMMON, "friend_request"))
_ANSWER = Script("friend_answer", *lua(*_COMMON, "friend_answer"))
_DELETE = Script("friend_delete", *lua(*_COMMON, "friend_delete"))
_BLOCK = Script("friend_block", *lua(*_COMMON, "friend_block"))
_LIST = Script("friend_list", *lua("pairs", "friend_list"))
_CIRCLE = Script("friend_circle", *lua("friend_circle"))

_NO_USER = (ErrorCode.USER_NOT_FOUND, "there is no such user")
_REFUSALS = {
    b"no-user": _NO_USER,
    b"no-request": (ErrorCode.NOT_FOUND, "there is no such request"),
    b"blocks": (ErrorCode.FORBIDDEN, "you have blocked this user"),
    b"you-have-enough": (ErrorCode.CONFLICT, "you have as many friends as one may have"),
    b"other-has-enough": (ErrorCode.CONFLICT, "the user has as many friends as one may have"),
    b"too-many-sent": (ErrorCode.CONFLICT, "too many of your requests are open"),
    b"too-many-received": (ErrorCode.CONFLICT, "the user has too many open requests"),
    b"too-many-blocked": (ErrorCode.CONFLICT, "you have blocked too many users"),
}


class Friends:
    """The part of `Directory` that is about friends."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def request_friend(
        self, principal: Principal, command: RequestFriend, limits: FriendLimits, at: float
    ) -> FriendReply:
        """See `FriendDirectory.request_friend`."""
        more = (command.message, limits.friends, limits.sent, limits.received)
        return await self._deed(_REQUEST, principal, command.user, at, *more)

    async def accept_friend(
        self, principal: Principal, command: AcceptFriend, limits: FriendLimits, at: float
    ) -> FriendReply:
        """See `FriendDirectory.accept_friend`."""
        return await self._deed(_ANSWER, principal, command.user, at, command.request, 1, limits.friends)

    async def reject_friend(self, principal: Principal, command: RejectFriend, at: float) -> FriendReply:
        """See `FriendDirectory.reject_friend`."""
        return await self._deed(_ANSWER, principal, command.user, at, command.request, 0, 0)

    async def delete_friend(self, principal: Principal, command: DeleteFriend, at: float) -> FriendReply:
        """See `FriendDirectory.delete_friend`."""
        return await self._deed(_DELETE, principal, command.user, at)

    async def block_user(
        self, principal: Principal, user: str, blocked: bool, limits: FriendLimits, at: float
    ) -> FriendReply:
        """See `FriendDirectory.block_user`."""
        return await self._deed(_BLOCK, principal, user, at, int(blocked), limits.blocked)

    async def list_friends(self, user: str) -> FriendList:
        """See `FriendDirectory.list_friends`."""
        reply = await self._core.redis.script(_LIST, args=(user,))
        if isinstance(reply, bytes):
            raise ImError(*_REFUSALS[reply])
        friends, received, sent, blocked = reply
        hidden = frozenset(blocked[::2])
        return FriendList(
            [Friend(name, at) for name, at in _times(friends) if name.encode() not in hidden],
            _requests(received, hidden),
            _requests(sent, hidden),
            [BlockedUser(name, at) for name, at in _times(blocked)],
        )

    async def circle(self, user: str, largest_group: int = 0) -> Circle:
        """See `FriendDirectory.circle`."""
        found = await self._core.redis.script(_CIRCLE, args=(user,))
        friends, blocks, blocked_by, met = ({name.decode() for name in names} for names in found)
        if largest_group:
            met |= await companions(self._core, user, largest_group)
        met.discard(user)
        return Circle(*map(frozenset, (friends, blocks, blocked_by, met)))

    async def are_apart(self, one: str, other: str) -> bool:
        """See `FriendDirectory.are_apart`."""
        prefix = self._core.redis.prefix
        first = self._core.redis.call("HEXISTS", f"{prefix}bl:{one}", other)
        second = self._core.redis.call("HEXISTS", f"{prefix}bl:{other}", one)
        second.addErrback(_as_result)
        blocks, blocked = await first, await second
        if isinstance(blocked, Exception):
            raise blocked
        return bool(blocks or blocked)

    async def are_friends(self, one: str, other: str) -> bool:
        """See `FriendDirectory.are_friends`."""
        return bool(await self._core.redis.call("HEXISTS", f"{self._core.redis.prefix}fr:{one}", other))

    async def _deed(
        self, script: Script, principal: Principal, other: str, at: float, *more: Any
    ) -> FriendReply:
        seconds = int(self._core.settings.change_seconds)
        common = (principal.user, other, repr(at), self._core.node(), principal.session, seconds)
        reply = await self._core.redis.script(script, args=(*common, *more))
        if isinstance(reply, bytes):
            raise ImError(*_REFUSALS[reply])
        standing, request, name = reply
        return FriendReply(name.decode(), Standing(standing.decode()), request)


def _times(reply: Sequence[bytes]) -> list[tuple[str, float]]:
    """Pairs of a hash, by name in byte order."""
    pairs = sorted(zip(reply[::2], reply[1::2], strict=True))
    return [(name.decode(), float(at)) for name, at in pairs]


def _requests(rows: Sequence[Any], hidden: frozenset[bytes]) -> list[FriendRequest]:
    return [
        FriendRequest(int(no), name.decode(), message.decode(), float(at))
        for no, name, (message, at) in sorted(rows, key=lambda row: row[1])
        if name not in hidden
    ]


def _as_result(failure: Any) -> Any:
    return failure.value
