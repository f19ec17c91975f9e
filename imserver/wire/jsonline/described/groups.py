"""Payloads of group."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.described.base import Id, Ok, Seconds, Text


class GroupId(Struct):
    """Which group; `room/…` may say room_id."""

    group_id: Id | UnsetType = UNSET
    room_id: Id | UnsetType = UNSET


class GroupCreate(GroupId):
    """A new group; without an id the server mints one."""

    name: str | UnsetType = UNSET
    open: bool | UnsetType = UNSET
    password: str | UnsetType = UNSET
    members: list[Id] | UnsetType = UNSET


class GroupJoin(GroupId):
    """With its password, where it has one."""

    password: str | UnsetType = UNSET


class GroupMemberId(GroupId, kw_only=True):
    """Whom to invite or to remove."""

    user_id: Id


class Member(Struct):
    """Somebody in a group."""

    user_id: Text
    role: Literal["owner", "member"]
    joined_at: Seconds


class Group(Struct):
    """A group."""

    group_id: Text
    conversation_id: Text
    name: str
    owner: str
    open: bool
    has_password: bool
    created_at: Seconds
    member_count: Annotated[int, Meta(ge=0)]


class GroupAnswer(Group, kw_only=True):
    """The group, with its members where the asker may see them and they fit into a line."""

    status: Literal[200]
    room_id: Text | UnsetType = UNSET
    members: list[Member] | UnsetType = UNSET


class GroupDone(Ok):
    """It is done."""

    group_id: Text
    room_id: Text | UnsetType = UNSET


class GroupListAnswer(Ok):
    """One's groups; with `continued` more of them come under the same id."""

    groups: list[Group]
    continued: Literal[True] | UnsetType = UNSET


class GroupMembersAnswer(GroupDone):
    """Its members; with `continued` more of them come under the same id."""

    members: list[Member] = []
    continued: Literal[True] | UnsetType = UNSET
