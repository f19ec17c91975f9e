"""group/* in both directions (a room is a group; CONTRACT §6)."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    Group,
    GroupChange,
    GroupChanged,
    GroupMember,
    GroupRole,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
)
from imserver.model.ids import GROUP_PREFIX, group_name
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.messages import Envelope, GroupPayload
from imserver.wire.jsonline.validator import bad, id_text


def group_id(name: str) -> str:
    """A group id as a client writes it: bare, or as the group's conversation is called."""
    return name.removeprefix(GROUP_PREFIX)


# Server: payload to command


def _named(payload: GroupPayload) -> str:
    named = payload.group_id if payload.group_id is not None else payload.room_id
    return "" if named is None else group_id(id_text(named, "group_id"))


def _group(payload: GroupPayload) -> str:
    group = _named(payload)
    if not group:
        raise bad("group_id is missing")
    return group


def _user(payload: GroupPayload) -> str:
    user = "" if payload.user_id is None else id_text(payload.user_id, "user_id")
    if not user:
        raise bad("user_id is missing")
    return user


def _create(payload: GroupPayload, envelope: Envelope) -> CreateGroup:
    return CreateGroup(
        _named(payload),
        payload.name or "",
        bool(payload.open),
        payload.password or "",
        tuple(id_text(member, "members") for member in payload.members or ()),
    )


def _join(payload: GroupPayload, envelope: Envelope) -> JoinGroup:
    return JoinGroup(_group(payload), payload.password or "")


def _leave(payload: GroupPayload, envelope: Envelope) -> LeaveGroup:
    return LeaveGroup(_group(payload))


def _list(payload: GroupPayload, envelope: Envelope) -> ListGroups:
    return ListGroups()


def _members(payload: GroupPayload, envelope: Envelope) -> ListMembers:
    return ListMembers(_group(payload))


def _info(payload: GroupPayload, envelope: Envelope) -> GetGroup:
    return GetGroup(_group(payload))


def _invite(payload: GroupPayload, envelope: Envelope) -> InviteMember:
    return InviteMember(_group(payload), _user(payload))


def _kick(payload: GroupPayload, envelope: Envelope) -> KickMember:
    return KickMember(_group(payload), _user(payload))


def _delete(payload: GroupPayload, envelope: Envelope) -> DeleteGroup:
    return DeleteGroup(_group(payload))


GROUP_READERS: Final[dict[enum.StrEnum, tuple[type, Callable[[Any, Envelope], Any]]]] = {
    MsgType.GROUP_CREATE: (GroupPayload, _create),
    MsgType.GROUP_JOIN: (GroupPayload, _join),
    MsgType.GROUP_LEAVE: (GroupPayload, _leave),
    MsgType.GROUP_LIST: (GroupPayload, _list),
    MsgType.GROUP_MEMBERS: (GroupPayload, _members),
    MsgType.GROUP_INFO: (GroupPayload, _info),
    MsgType.GROUP_INVITE: (GroupPayload, _invite),
    MsgType.GROUP_KICK: (GroupPayload, _kick),
    MsgType.GROUP_DELETE: (GroupPayload, _delete),
}


# Client: command to payload


def _create_payload(command: CreateGroup) -> dict[str, Any]:
    payload: dict[str, Any] = {"open": command.open}
    if command.group:
        payload["group_id"] = command.group
    if command.name:
        payload["name"] = command.name
    if command.password:
        payload["password"] = command.password
    if command.members:
        payload["members"] = command.members
    return payload


def _join_payload(command: JoinGroup) -> dict[str, Any]:
    payload = _group_payload(command)
    if command.password:
        payload["password"] = command.password
    return payload


def _group_payload(command: Any) -> dict[str, Any]:
    return {"group_id": command.group}


def _member_payload(command: InviteMember | KickMember) -> dict[str, Any]:
    return {"group_id": command.group, "user_id": command.user}


def _no_payload(command: ListGroups) -> dict[str, Any]:
    return {}


GROUP_WRITERS: Final[dict[type, tuple[MsgType, Callable[[Any], dict[str, Any]]]]] = {
    CreateGroup: (MsgType.GROUP_CREATE, _create_payload),
    JoinGroup: (MsgType.GROUP_JOIN, _join_payload),
    LeaveGroup: (MsgType.GROUP_LEAVE, _group_payload),
    ListGroups: (MsgType.GROUP_LIST, _no_payload),
    ListMembers: (MsgType.GROUP_MEMBERS, _group_payload),
    GetGroup: (MsgType.GROUP_INFO, _group_payload),
    InviteMember: (MsgType.GROUP_INVITE, _member_payload),
    KickMember: (MsgType.GROUP_KICK, _member_payload),
    DeleteGroup: (MsgType.GROUP_DELETE, _group_payload),
}


# Both: groups, members and what happened


def group_to_dict(group: Group) -> dict[str, Any]:
    """A group without its members."""
    return {
        "group_id": group.group,
        "conversation_id": group_name(group.group),
        "name": group.name,
        "owner": group.owner,
        "open": group.open,
        "has_password": group.has_password,
        "created_at": int(group.created_at),
        "member_count": group.member_count,
    }


def group_from_dict(value: dict[str, Any]) -> Group:
    """The reverse of `group_to_dict`, with the members where they are told."""
    return Group(
        value["group_id"],
        value["name"],
        value["owner"],
        value["open"],
        value["has_password"],
        float(value["created_at"]),
        value["member_count"],
        [member_from_dict(member) for member in value.get("members", ())],
    )


def member_to_dict(member: GroupMember) -> dict[str, Any]:
    """A member."""
    return {"user_id": member.user, "role": member.role.value, "joined_at": int(member.joined_at)}


def member_from_dict(value: dict[str, Any]) -> GroupMember:
    """The reverse of `member_to_dict`."""
    return GroupMember(value["user_id"], GroupRole(value["role"]), float(value["joined_at"]))


def change_to_dict(event: GroupChanged) -> dict[str, Any]:
    """The payload of notification/event for a change of a group."""
    return {
        "event_type": event.change.value,
        "group_id": event.group,
        "conversation_id": group_name(event.group),
        "user_id": event.user,
        "by": event.by,
        "at": int(event.at),
    }


def change_from_dict(value: dict[str, Any]) -> GroupChanged:
    """The reverse of `change_to_dict`."""
    return GroupChanged(
        GroupChange(value["event_type"]), value["group_id"], value["user_id"], value["by"], float(value["at"])
    )
