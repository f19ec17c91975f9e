"""Commands of the model as the payloads that clients of the dialect chat-app send."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from imserver.model.accounts import LogIn, Register, RenewToken
from imserver.model.calls import AnswerCall, CallMedia, EndCall, RejectCall, StartCall
from imserver.model.file_relays import AcceptRelay, EndRelay, RejectRelay, RequestRelay
from imserver.model.friends import AcceptFriend, DeleteFriend, RejectFriend, RequestFriend
from imserver.model.group_calls import StartGroupCall
from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
)
from imserver.wire.jsonline import client as drafted
from imserver.wire.jsonline.chat_app.commands import ChatAppType
from imserver.wire.jsonline.chat_app.files import request_payload
from imserver.wire.jsonline.chat_app.requests import DEVICE
from imserver.wire.jsonline.commands import MsgType

Payload = dict[str, Any]


def _login(command: LogIn) -> tuple[MsgType, Payload]:
    device = "" if command.device == DEVICE else command.device.removeprefix(f"{DEVICE} ")
    return drafted.payload_of(replace(_hashed(command), device=device))


def _register(command: Register) -> tuple[MsgType, Payload]:
    return drafted.payload_of(_hashed(command))


def _hashed(command: Any) -> Any:
    """The deployed client never sends the password itself."""
    if command.hashed or not command.password:
        return command
    digest = hashlib.sha256(command.password.encode()).hexdigest()
    return replace(command, password=digest, hashed=True)


def _renew(command: RenewToken) -> tuple[MsgType, Payload]:
    return MsgType.REFRESH, {"token": command.token}


def _create(command: CreateGroup) -> tuple[MsgType, Payload]:
    payload: Payload = {"room_id": command.group, "encrypted": command.encrypted}
    if command.password:
        payload["password"] = command.password
    elif not command.open:
        payload["open"] = False
    if command.name:
        payload["name"] = command.name
    if command.members:
        payload["members"] = command.members
    return MsgType.GROUP_CREATE, payload


def _room(name: MsgType) -> Callable[[Any], tuple[MsgType, Payload]]:
    def write(command: Any) -> tuple[MsgType, Payload]:
        payload = {"room_id": command.group}
        if getattr(command, "password", ""):
            payload["password"] = command.password
        if hasattr(command, "user"):
            payload["user_id"] = command.user
        return name, payload

    return write


def _friend_request(command: RequestFriend) -> tuple[MsgType, Payload]:
    return MsgType.FRIEND_REQUEST, {"target_id": command.user, "message": command.message}


def _answered(name: MsgType) -> Callable[[Any], tuple[MsgType, Payload]]:
    def write(command: AcceptFriend | RejectFriend) -> tuple[MsgType, Payload]:
        return name, {"request_id": command.request} if command.request else {"user_id": command.user}

    return write


def _call(command: StartCall) -> tuple[ChatAppType, Payload]:
    target = {"type": "user", "id": command.callee}
    return ChatAppType.VOICE_CALL, {"call_type": "direct", "target": target}


def _group_call(command: StartGroupCall) -> tuple[ChatAppType, Payload]:
    return ChatAppType.VOICE_CALL, {"call_type": "group", "target": {"type": "group", "id": command.group}}


def _about(name: ChatAppType) -> Callable[[Any], tuple[ChatAppType, Payload]]:
    def write(command: AnswerCall | RejectCall | EndCall) -> tuple[ChatAppType, Payload]:
        payload = {"call_id": command.call}
        if getattr(command, "reason", ""):
            payload["reason"] = command.reason  # type: ignore[union-attr]
        return name, payload

    return write


def _data(command: CallMedia) -> tuple[ChatAppType, Payload]:
    return ChatAppType.VOICE_DATA, {"call_id": command.call, "data": command.data.hex()}


def _reject_file(command: RejectRelay) -> tuple[MsgType, Payload]:
    return MsgType.FILE_REJECT, {"session_id": command.relay, "reason": command.reason}


def _end_file(command: EndRelay) -> tuple[Any, Payload]:
    if command.failed:
        return ChatAppType.FILE_ERROR, {"session_id": command.relay, "error_message": command.reason}
    return MsgType.FILE_COMPLETE, {"session_id": command.relay}


WRITERS: Final[dict[type, Callable[[Any], tuple[Any, Payload]]]] = {
    LogIn: _login,
    Register: _register,
    RenewToken: _renew,
    CreateGroup: _create,
    JoinGroup: _room(MsgType.GROUP_JOIN),
    LeaveGroup: _room(MsgType.GROUP_LEAVE),
    ListMembers: _room(MsgType.GROUP_MEMBERS),
    GetGroup: _room(MsgType.GROUP_INFO),
    InviteMember: _room(MsgType.GROUP_INVITE),
    KickMember: _room(MsgType.GROUP_KICK),
    DeleteGroup: _room(MsgType.GROUP_DELETE),
    ListGroups: lambda command: (MsgType.GROUP_LIST, {}),
    RequestFriend: _friend_request,
    AcceptFriend: _answered(MsgType.FRIEND_ACCEPT),
    RejectFriend: _answered(MsgType.FRIEND_REJECT),
    DeleteFriend: lambda command: (MsgType.FRIEND_DELETE, {"friend_id": command.user}),
    StartCall: _call,
    StartGroupCall: _group_call,
    AnswerCall: _about(ChatAppType.VOICE_ANSWER),
    RejectCall: _about(ChatAppType.VOICE_REJECT),
    EndCall: _about(ChatAppType.VOICE_END),
    CallMedia: _data,
    RequestRelay: lambda command: (MsgType.FILE_REQUEST, request_payload(command)),
    AcceptRelay: lambda command: (MsgType.FILE_ACCEPT, {"session_id": command.relay}),
    RejectRelay: _reject_file,
    EndRelay: _end_file,
}
"""The command of the wire, and its payload, by the type of the model's."""
