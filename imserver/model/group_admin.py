"""Administration of groups by those who need not be members: the role admin, or the operator."""

from __future__ import annotations

from msgspec import Struct

from imserver.model.groups import Group


class CreateGroupFor(Struct, frozen=True, gc=False):
    """Create a group owned by `owner`; the rest as in `CreateGroup`."""

    owner: str
    group: str = ""
    name: str = ""
    open: bool = False
    password: str = ""
    members: tuple[str, ...] = ()


class AddMember(Struct, frozen=True, gc=False):
    """Make a user a member, without invitation or password."""

    group: str
    user: str


class RemoveMember(Struct, frozen=True, gc=False):
    """End a membership, the owner's too: ownership goes to the member of longest standing."""

    group: str
    user: str


class RemoveGroup(Struct, frozen=True, gc=False):
    """Delete any group."""

    group: str


class DescribeGroup(Struct, frozen=True, gc=False):
    """Describe any group with all its members."""

    group: str


class ListAllGroups(Struct, frozen=True, gc=False):
    """List groups with group id > `after` in byte order; limit 0 = the default."""

    after: str = ""
    limit: int = 0


# Replies (besides `GroupReply` and `Done`)


class GroupPage(Struct, frozen=True):
    """Groups ascending, without their members; `has_more` if there are some after the last one here."""

    groups: list[Group]
    has_more: bool
