"""What the dialect chat-app says of a request that was refused, and what it repeats of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.calls import AnswerCall, EndCall, RejectCall, StartCall
from imserver.model.errors import ErrorCode, ImError
from imserver.model.file_relays import AcceptRelay, EndRelay, RejectRelay, RequestRelay
from imserver.model.friends import AcceptFriend, RejectFriend
from imserver.model.group_calls import StartGroupCall
from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListMembers,
)
from imserver.wire.base import WireError
from imserver.wire.jsonline.chat_app.commands import ACCOUNTS, VOICE, ChatAppType
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.errors import ProtocolError
from imserver.wire.jsonline.tags import Tag
from imserver.wire.jsonline.validator import MAX_ID_BYTES, SUPPORTED_VERSIONS


class Faulty(Struct, frozen=True):
    """The tag of a request that was refused before it was a command: what its answer repeats, too."""

    tag: Tag
    repeats: dict[str, Any]


def repeated(command: Any) -> dict[str, Any]:
    """What an answer repeats of its request's payload, a success as well as a failure."""
    match command:
        case InviteMember() | KickMember():
            return {"room_id": _short(command.group), "user_id": _short(command.user)}
        case CreateGroup() | DeleteGroup() | GetGroup() | JoinGroup() | LeaveGroup() | ListMembers():
            return {"room_id": _short(command.group)}
        case StartCall() | StartGroupCall() | AnswerCall() | RejectCall() | EndCall():
            return {"call_id": _short(command.call)}
        case AcceptFriend() | RejectFriend():
            return {"request_id": command.request}
        case RequestRelay():
            return {"sessions": [], "file_name": _short(command.name), "file_size": command.size}
        case AcceptRelay() | RejectRelay() | EndRelay():
            return {"session_id": _short(command.relay)}
    return {}


def _short(id: str) -> str:
    """An id as a client sent it; what is too long for one is not said again."""
    return id if len(id) <= MAX_ID_BYTES else ""


class _Line(Struct):
    payload: Raw = Raw(b"{}")


class _Payload(Struct):
    room_id: Any = None
    group_id: Any = None
    user_id: Any = None
    target_id: Any = None
    call_id: Any = None
    request_id: Any = None
    session_id: Any = None
    file_name: Any = None
    file_size: Any = None


_line: Final = msgspec.json.Decoder(_Line).decode
_payload: Final = msgspec.json.Decoder(_Payload).decode


def repeated_of(frame: bytes, tag: Tag) -> dict[str, Any]:
    """The same, of a line that did not become a command; as far as it can be read."""
    try:
        payload = _payload(_line(frame).payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        payload = _Payload()
    name = "" if tag.name is None else tag.name.value
    if name in (MsgType.FRIEND_ACCEPT, MsgType.FRIEND_REJECT):
        return {"request_id": payload.request_id if type(payload.request_id) is int else 0}
    if tag.name in VOICE:
        call = msgspec.json.decode(tag.id) if tag.name is ChatAppType.VOICE_CALL else payload.call_id
        return {"call_id": _text(call)}
    if name == MsgType.FILE_REQUEST:
        size = payload.file_size if type(payload.file_size) is int else 0
        return {"sessions": [], "file_name": _text(payload.file_name), "file_size": size}
    if name.startswith("file/"):
        return {"session_id": _text(payload.session_id)}
    if not name.startswith("group/") or name == MsgType.GROUP_LIST:
        return {}
    room = payload.room_id if payload.room_id is not None else payload.group_id
    fields = {"room_id": _text(room)}
    if name in (MsgType.GROUP_KICK, MsgType.GROUP_INVITE):
        fields["user_id"] = _text(payload.user_id if payload.user_id is not None else payload.target_id)
    return fields


def _text(value: Any) -> str:
    return _short(str(value)) if type(value) in (str, int) else ""


def error_fields(tag: Tag, error: ImError | WireError, repeats: dict[str, Any]) -> dict[str, Any]:
    """The payload of a refusal."""
    known = ProtocolError.of(error)
    if tag.name in ACCOUNTS:
        return {
            "status": known.status.value,
            "token": "",
            "user_id": "",
            "expires_in": 0,
            "error_code": known.code.value,
            "error_message": known.message,
        }
    fields = {**known.to_dict(), **repeats}
    if tag.name is MsgType.SEND:
        fields["message_id"] = ""
    if error.code is ErrorCode.VERSION:
        fields["advice"] = f"use version {SUPPORTED_VERSIONS[1]} of the protocol"
    return fields
