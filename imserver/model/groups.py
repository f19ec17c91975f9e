"""Groups (document 004's group/* and room/*; a room is a group)."""

from __future__ import annotations

import enum

from msgspec import Struct


class GroupRole(enum.StrEnum):
    """A member's role."""

    OWNER = "owner"
    MEMBER = "member"


class GroupMember(Struct, frozen=True, gc=False):
    """A member and the conversation position at which it joined (its history starts after it)."""

    user: str
    role: GroupRole
    joined_at: float


class Group(Struct, frozen=True):
    """A group.

    Attributes:
        group: group id.
        name: a title for people; the id if none was given.
        open: anybody may join.
        has_password: joining needs a password.
        members: sorted by user id; empty where the asker may not see them.
        encrypted: its members' programs encrypt what they write there; to the server it means nothing.
    """

    group: str
    name: str
    owner: str
    open: bool
    has_password: bool
    created_at: float
    member_count: int
    members: list[GroupMember] = []
    encrypted: bool = False


# Commands


class CreateGroup(Struct, frozen=True, gc=False):
    """Create a group owned by the asker. group "" = the server mints an id. Members are added at once."""

    group: str = ""
    name: str = ""
    open: bool = False
    password: str = ""
    members: tuple[str, ...] = ()
    encrypted: bool = False


class JoinGroup(Struct, frozen=True, gc=False):
    """Join: needs an invitation, the password, or an open group."""

    group: str
    password: str = ""


class LeaveGroup(Struct, frozen=True, gc=False):
    """Leave. If the owner leaves, the member of longest standing becomes the owner.

    The last one deletes it.
    """

    group: str


class ListGroups(Struct, frozen=True, gc=False):
    """List the asker's groups."""


class ListMembers(Struct, frozen=True, gc=False):
    """List a group's members (members only)."""

    group: str


class GetGroup(Struct, frozen=True, gc=False):
    """Describe a group (members, invited users, or anybody if it is open)."""

    group: str


class InviteMember(Struct, frozen=True, gc=False):
    """Invite a user: any member may."""

    group: str
    user: str


class KickMember(Struct, frozen=True, gc=False):
    """Remove a member: the owner may."""

    group: str
    user: str


class DeleteGroup(Struct, frozen=True, gc=False):
    """Delete a group: the owner may. Inbox rows stay, history ends."""

    group: str


# Replies


class GroupReply(Struct, frozen=True):
    """A group as the asker may see it."""

    group: Group


class GroupList(Struct, frozen=True):
    """Reply to ListGroups."""

    groups: list[Group]


class MemberList(Struct, frozen=True):
    """Reply to ListMembers."""

    group: str
    members: list[GroupMember]


# Events


class GroupChange(enum.StrEnum):
    """What happened to a group."""

    CREATED = "group_created"
    INVITED = "group_invited"
    JOINED = "group_joined"
    LEFT = "group_left"
    KICKED = "group_kicked"
    DELETED = "group_deleted"
    OWNER_CHANGED = "group_owner_changed"


MEMBERSHIP_ENDS = frozenset({GroupChange.LEFT, GroupChange.KICKED, GroupChange.DELETED})
"""After these somebody, or everybody, is a member no more."""


class GroupChanged(Struct, frozen=True, gc=False):
    """Event to the group's members (and the one concerned): `user` did or underwent `change`, done `by`."""

    change: GroupChange
    group: str
    user: str
    by: str
    at: float
