"""Friends and blocks: who may ask whom, and what the configuration makes of it.

One who is blocked cannot tell: requests are answered as ever and nobody hears of them, and the one
who blocks looks offline. (Messages between the two are refused; docs/friends.md says why.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct
from twisted.logger import Logger

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.friends import (
    AcceptFriend,
    BlockUser,
    DeleteFriend,
    FriendList,
    FriendReply,
    ListFriends,
    RejectFriend,
    RequestFriend,
    UnblockUser,
)
from imserver.model.ids import check_id
from imserver.services.dispatch import Handler
from imserver.services.limits import RateLimiter
from imserver.services.ports.friends import FriendDirectory, FriendLimits

MAX_GREETING_BYTES = 512
REQUESTS_PER_SECOND = 0.2
REQUEST_BURST = 30
"""Requests of one user: each may sound at somebody else's telephone."""
CHANGES_PER_SECOND = 2.0
CHANGE_BURST = 100
"""All else that one user changes: whether two see each other is looked up in all their groups."""


class FriendSettings(Struct, frozen=True):
    """What only friends may do, and how much there may be.

    Attributes:
        messages: write to each other, and see each other typing. (The store must be told, too.)
        calls: call each other.
        presence: see each other's presence; False: all contacts do, friends included.
    """

    messages: bool = False
    calls: bool = False
    presence: bool = False
    limits: FriendLimits = FriendLimits()


class Sight(Protocol):
    """Who sees whose presence."""

    async def near(self, one: str, other: str) -> bool:
        """Whether two users see each other."""

    def turned(self, one: str, other: str, near: bool) -> None:
        """Whether they see each other has changed: tells both."""


class Friends:
    """Handles the commands of `model.friends`.

    Args:
        wall_time: float seconds since the epoch.
        clock: for the limits, monotonic float seconds.
    """

    log = Logger()

    def __init__(
        self,
        directory: FriendDirectory,
        sight: Sight,
        wall_time: Callable[[], float],
        clock: Callable[[], float],
        settings: FriendSettings = FriendSettings(),  # noqa: B008 - frozen
    ) -> None:
        self._directory = directory
        self._sight = sight
        self._wall_time = wall_time
        self._settings = settings
        self._requests = RateLimiter(clock, REQUESTS_PER_SECOND, REQUEST_BURST)
        self._changes = RateLimiter(clock, CHANGES_PER_SECOND, CHANGE_BURST)

    def handlers(self) -> dict[type, Handler]:
        """For `Dispatch`. All raise ImError: see `FriendDirectory`, BAD_REQUEST, TOO_FAST."""
        return {
            RequestFriend: self._request,
            AcceptFriend: self._accept,
            RejectFriend: self._reject,
            DeleteFriend: self._delete,
            ListFriends: self._list,
            BlockUser: self._block,
            UnblockUser: self._unblock,
        }

    async def may_call(self, caller: str, callee: str) -> bool:
        """Whether a call may ring; if not, it looks as if the callee were offline."""
        return await self._allowed(caller, callee, self._settings.calls)

    async def may_type(self, user: str, peer: str) -> bool:
        """Whether somebody may be told that the other one is typing."""
        return await self._allowed(user, peer, self._settings.messages)

    async def refusal(self, sender: str, recipient: str) -> ImError | None:
        """Why nothing may be sent, in the words in which the store refuses messages; None = it may."""
        if await self._allowed(sender, recipient, self._settings.messages):
            return None
        if recipient in (await self._directory.circle(sender)).blocks:
            return ImError(ErrorCode.FORBIDDEN, "you have blocked this user")
        return ImError(ErrorCode.FORBIDDEN, "this user takes no messages from you")

    async def _allowed(self, one: str, other: str, only_friends: bool) -> bool:
        if await self._directory.are_apart(one, other):
            return False
        return not only_friends or await self._directory.are_friends(one, other)

    async def _request(self, principal: Principal, command: RequestFriend) -> FriendReply:
        other = _other(principal, command.user)
        _check_greeting(command.message)
        if not self._requests.allow(principal.user):
            raise ImError(ErrorCode.TOO_FAST, "too many friend requests; wait a little")
        limits, at = self._settings.limits, self._wall_time()
        return await self._watched(
            principal.user, other, lambda: self._directory.request_friend(principal, command, limits, at)
        )

    async def _accept(self, principal: Principal, command: AcceptFriend) -> FriendReply:
        _check_named(principal, command)
        self._count_change(principal)
        limits, at = self._settings.limits, self._wall_time()
        other = command.user or await self._asker(principal.user, command.request)
        return await self._watched(
            principal.user, other, lambda: self._directory.accept_friend(principal, command, limits, at)
        )

    async def _asker(self, user: str, request: int) -> str:
        """Who made a request; "" for one that will be refused."""
        received = (await self._directory.list_friends(user)).received
        return next((one.user for one in received if one.request == request), "")

    async def _reject(self, principal: Principal, command: RejectFriend) -> FriendReply:
        _check_named(principal, command)
        self._count_change(principal)
        return await self._directory.reject_friend(principal, command, self._wall_time())

    async def _delete(self, principal: Principal, command: DeleteFriend) -> FriendReply:
        other = _other(principal, command.user)
        self._count_change(principal)
        at = self._wall_time()
        return await self._watched(
            principal.user, other, lambda: self._directory.delete_friend(principal, command, at)
        )

    async def _list(self, principal: Principal, command: ListFriends) -> FriendList:
        return await self._directory.list_friends(principal.user)

    async def _block(self, principal: Principal, command: BlockUser) -> FriendReply:
        return await self._set_blocked(principal, command.user, True)

    async def _unblock(self, principal: Principal, command: UnblockUser) -> FriendReply:
        return await self._set_blocked(principal, command.user, False)

    async def _set_blocked(self, principal: Principal, user: str, blocked: bool) -> FriendReply:
        other = _other(principal, user)
        self._count_change(principal)
        limits, at = self._settings.limits, self._wall_time()
        return await self._watched(
            principal.user, other, lambda: self._directory.block_user(principal, other, blocked, limits, at)
        )

    def _count_change(self, principal: Principal) -> None:
        if not self._changes.allow(principal.user):
            raise ImError(ErrorCode.TOO_FAST, "too many changes; wait a little")

    async def _watched(self, one: str, other: str, work: Callable[[], Awaitable[FriendReply]]) -> FriendReply:
        """Does it, and tells both if they have come into each other's sight, or out of it."""
        before = await self._sight.near(one, other)
        reply = await work()
        try:
            after = await self._sight.near(one, other)
        except ImError as error:
            # It is done, and so it is answered; how the other one looks is told when that changes.
            self.log.warn("presence not told: {code}", code=error.code)
            return reply
        if after is not before:
            self._sight.turned(one, other, after)
        return reply


def _other(principal: Principal, user: str) -> str:
    check_id(user)
    if user == principal.user:
        raise ImError(ErrorCode.BAD_REQUEST, "that is you yourself")
    return user


def _check_named(principal: Principal, command: AcceptFriend | RejectFriend) -> None:
    if command.user:
        _other(principal, command.user)
    elif command.request <= 0:
        raise ImError(ErrorCode.BAD_REQUEST, "neither a user nor a request is named")


def _check_greeting(message: str) -> None:
    try:
        size = len(message.encode())
    except UnicodeEncodeError:
        raise ImError(ErrorCode.BAD_REQUEST, "the message is not valid text") from None
    if size > MAX_GREETING_BYTES:
        raise ImError(ErrorCode.BAD_REQUEST, f"the message is longer than {MAX_GREETING_BYTES} bytes")
