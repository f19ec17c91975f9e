"""Friends and blocks (document 004's friend/*).

A friendship is mutual: one asks, the other accepts, or both ask. A block is one-sided and stands
beside it: it changes nothing about who is whose friend, and the one who is blocked is told nothing.
"""

from __future__ import annotations

import enum

from msgspec import Struct


class Standing(enum.StrEnum):
    """How a user stands to another one, as that user may know it."""

    NONE = "none"
    REQUESTED = "requested"
    """The user has asked, and nobody answered."""
    FRIENDS = "friends"
    BLOCKED = "blocked"
    """The user has blocked the other one."""


class Friend(Struct, frozen=True, gc=False):
    """A friend; `since` in float seconds."""

    user: str
    since: float


class FriendRequest(Struct, frozen=True, gc=False):
    """An open request.

    Attributes:
        request: its number, unique in the store.
        user: the other one: who asked, or who was asked.
        message: a greeting to be shown with it.
        at: float seconds.
    """

    request: int
    user: str
    message: str
    at: float


class BlockedUser(Struct, frozen=True, gc=False):
    """Somebody the user has blocked, since `at` (float seconds)."""

    user: str
    at: float


# Commands


class RequestFriend(Struct, frozen=True, gc=False):
    """Ask somebody to be a friend. Has that one asked already, the two are friends."""

    user: str
    message: str = ""


class AcceptFriend(Struct, frozen=True, gc=False):
    """Accept an open request: the one with this number, or where it is 0, that of `user`."""

    user: str = ""
    request: int = 0


class RejectFriend(Struct, frozen=True, gc=False):
    """Reject an open request, named as in AcceptFriend."""

    user: str = ""
    request: int = 0


class DeleteFriend(Struct, frozen=True, gc=False):
    """End a friendship, or take one's own open request back."""

    user: str


class ListFriends(Struct, frozen=True, gc=False):
    """List friends, open requests and blocked users."""


class BlockUser(Struct, frozen=True, gc=False):
    """Have nothing to do with somebody any more."""

    user: str


class UnblockUser(Struct, frozen=True, gc=False):
    """Take a block back."""

    user: str


# Replies


class FriendReply(Struct, frozen=True, gc=False):
    """Reply to every command but ListFriends.

    Attributes:
        user: the other one.
        standing: how the asker stands to that one now.
        request: the number of the asker's open request; 0 = there is none.
    """

    user: str
    standing: Standing
    request: int = 0


class FriendList(Struct, frozen=True):
    """Reply to ListFriends, each by user id. Whom the user has blocked is only in `blocked`.

    Attributes:
        received: open requests to the user.
        sent: open requests of the user.
    """

    friends: list[Friend]
    received: list[FriendRequest]
    sent: list[FriendRequest]
    blocked: list[BlockedUser]


# Events


class FriendChange(enum.StrEnum):
    """What happened between two users."""

    REQUESTED = "friend_request"
    ACCEPTED = "friend_accepted"
    REJECTED = "friend_rejected"
    WITHDRAWN = "friend_withdrawn"
    """The one who asked took the request back."""
    DELETED = "friend_deleted"
    BLOCKED = "user_blocked"
    """Told to the other devices of the one who blocks, and to nobody else; so is UNBLOCKED."""
    UNBLOCKED = "user_unblocked"


class FriendChanged(Struct, frozen=True, gc=False):
    """Event to the two: `by` did `change`, and `user` is the other one.

    Attributes:
        request: the number of the request it is about; 0 = about none.
        message: the greeting of a request.
        at: float seconds.
    """

    change: FriendChange
    user: str
    by: str
    at: float
    request: int = 0
    message: str = ""
