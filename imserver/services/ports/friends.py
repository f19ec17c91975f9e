"""What the services need from a backend to keep friends and blocks; part of `Directory`.

Every change is durable before its coroutine returns, and enters the change logs of the users
it concerns: its actor's, and the other one's unless that one has blocked the actor.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from imserver.model.accounts import Principal
from imserver.model.friends import (
    AcceptFriend,
    DeleteFriend,
    FriendList,
    FriendReply,
    RejectFriend,
    RequestFriend,
)


class FriendLimits(Struct, frozen=True):
    """How much of this one user may have.

    Attributes:
        friends: friends.
        sent / received: open requests.
        blocked: users one has blocked.
    """

    friends: int = 2_000
    sent: int = 200
    received: int = 1_000
    blocked: int = 2_000


class Circle(Struct, frozen=True):
    """Whom a user is near to, and far from; the user is in none of these.

    Attributes:
        friends: the user's friends, blocked or not.
        blocks: whom the user has blocked.
        blocked_by: who has blocked the user.
        met: with whom the user shares a single conversation, or a small group.
    """

    friends: frozenset[str]
    blocks: frozenset[str]
    blocked_by: frozenset[str]
    met: frozenset[str]


class FriendDirectory(Protocol):
    """Friends, open requests and blocks. What concerns two raises USER_NOT_FOUND if one has no account."""

    async def request_friend(
        self, principal: Principal, command: RequestFriend, limits: FriendLimits, at: float
    ) -> FriendReply:
        """Opens a request, or accepts the other one's; an open one is answered again, and nobody is told.

        FORBIDDEN if the asker has blocked the other one; CONFLICT where a limit is reached.
        """

    async def accept_friend(
        self, principal: Principal, command: AcceptFriend, limits: FriendLimits, at: float
    ) -> FriendReply:
        """Makes friends; of friends already: nothing happens.

        NOT_FOUND for a request that is not open, or somebody else's; else as `request_friend`.
        """

    async def reject_friend(self, principal: Principal, command: RejectFriend, at: float) -> FriendReply:
        """Closes a request. NOT_FOUND as above."""

    async def delete_friend(self, principal: Principal, command: DeleteFriend, at: float) -> FriendReply:
        """Ends a friendship or withdraws a request; where there is neither, nothing happens."""

    async def block_user(
        self, principal: Principal, user: str, blocked: bool, limits: FriendLimits, at: float
    ) -> FriendReply:
        """Blocks (or unblocks) somebody; where it is so already, nothing happens. CONFLICT at the limit.

        It counts for every message whose `append` comes after this call.
        """

    async def list_friends(self, user: str) -> FriendList:
        """See `model.friends.FriendList`."""

    async def circle(self, user: str, largest_group: int = 0) -> Circle:
        """See `Circle`; empty for a user without an account.

        Args:
            largest_group: members of a group that counts as small.
        """

    async def are_apart(self, one: str, other: str) -> bool:
        """Whether either of two users has blocked the other; a look into memory. False without an account."""

    async def are_friends(self, one: str, other: str) -> bool:
        """Whether two users are friends."""
