"""Rooms of the dialect chat-app, which are groups: payloads in, answers out."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    Group,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
)
from imserver.wire.jsonline.chat_app.payloads import RoomPayload
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.groups import group_id
from imserver.wire.jsonline.messages import Envelope, Id
from imserver.wire.jsonline.validator import bad, id_text

# In


def _named(payload: RoomPayload) -> str:
    named = payload.room_id if payload.room_id is not None else payload.group_id
    return "" if named is None else group_id(id_text(named, "room_id"))


def _room(payload: RoomPayload) -> str:
    room = _named(payload)
    if not room:
        raise bad("room_id is missing")
    return room


def _user(payload: RoomPayload) -> str:
    user = payload.user_id if payload.user_id is not None else payload.target_id
    if user is None or user == "":
        raise bad("user_id is missing")
    return id_text(user, "user_id")


def _password(value: Id | None) -> str:
    return "" if value is None else str(value)


def _create(payload: RoomPayload, envelope: Envelope) -> CreateGroup:
    password = _password(payload.password)
    return CreateGroup(
        _named(payload),
        payload.name or "",
        not password and payload.open is not False,
        password,
        tuple(id_text(member, "members") for member in payload.members or ()),
        bool(payload.encrypted),
    )


def _join(payload: RoomPayload, envelope: Envelope) -> JoinGroup:
    return JoinGroup(_room(payload), _password(payload.password))


def _with_room(make: Callable[[str], Any]) -> Callable[[RoomPayload, Envelope], Any]:
    return lambda payload, envelope: make(_room(payload))


def _with_user(make: Callable[[str, str], Any]) -> Callable[[RoomPayload, Envelope], Any]:
    return lambda payload, envelope: make(_room(payload), _user(payload))


ROOM_READERS: Final[dict[enum.StrEnum, tuple[type, Callable[[Any, Envelope], Any]]]] = {
    MsgType.GROUP_CREATE: (RoomPayload, _create),
    MsgType.GROUP_JOIN: (RoomPayload, _join),
    MsgType.GROUP_LEAVE: (RoomPayload, _with_room(LeaveGroup)),
    MsgType.GROUP_LIST: (RoomPayload, lambda payload, envelope: ListGroups()),
    MsgType.GROUP_MEMBERS: (RoomPayload, _with_room(ListMembers)),
    MsgType.GROUP_INFO: (RoomPayload, _with_room(GetGroup)),
    MsgType.GROUP_INVITE: (RoomPayload, _with_user(InviteMember)),
    MsgType.GROUP_KICK: (RoomPayload, _with_user(KickMember)),
    MsgType.GROUP_DELETE: (RoomPayload, _with_room(DeleteGroup)),
}


# Out


def room_fields(group: Group) -> dict[str, Any]:
    """A room without its members."""
    return {
        "status": 200,
        "room_id": group.group,
        "encrypted": group.encrypted,
        "owner": group.owner,
        "created_at": int(group.created_at),
    }
