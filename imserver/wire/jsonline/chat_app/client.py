"""The client's role of the dialect chat-app: commands to lines, lines of the server to replies and events.

It sends what the deployed client sends, and is as strict about what comes back as that one has to be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from imserver.model.accounts import (
    LoggedIn,
    LogIn,
    Ping,
    Register,
    Registered,
    RenewToken,
    TokensRefreshed,
)
from imserver.model.calls import AnswerCall, CallMedia, EndCall, RejectCall, StartCall
from imserver.model.errors import ErrorCode
from imserver.model.file_relays import (
    AcceptRelay,
    EndRelay,
    RejectRelay,
    RelaysRequested,
    RelayTo,
    RequestRelay,
)
from imserver.model.friends import (
    AcceptFriend,
    DeleteFriend,
    Friend,
    FriendChanged,
    FriendList,
    FriendReply,
    FriendRequest,
    RejectFriend,
    RequestFriend,
    Standing,
)
from imserver.model.group_calls import StartGroupCall
from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    Group,
    GroupList,
    GroupMember,
    GroupReply,
    GroupRole,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
    MemberList,
)
from imserver.model.messages import Done, SendMessage
from imserver.model.presence import PresenceList, PresenceState, UserPresence
from imserver.wire.base import WireError
from imserver.wire.jsonline import client as drafted
from imserver.wire.jsonline.chat_app.commands import ANSWERS, ChatAppType, find
from imserver.wire.jsonline.chat_app.events import FRIEND_CHANGES
from imserver.wire.jsonline.chat_app.files import (
    accepted_from_fields,
    event_from_fields,
    request_payload,
)
from imserver.wire.jsonline.chat_app.pages import LINE_BYTES
from imserver.wire.jsonline.chat_app.requests import DEVICE
from imserver.wire.jsonline.commands import MsgType
from imserver.wire.jsonline.errors import error_from_payload
from imserver.wire.jsonline.events import event_from_payload
from imserver.wire.jsonline.framing import decode_msg
from imserver.wire.jsonline.messages import MsgBase
from imserver.wire.jsonline.pushes import row_from_dict
from imserver.wire.jsonline.replies import read_reply
from imserver.wire.jsonline.validator import VERSION

Payload = dict[str, Any]


class VoiceEvent(Struct, frozen=True):
    """voice/event as it is told: what of `incoming`, `connected`, … happened to a call."""

    event_type: str
    call: str
    call_type: str
    target: str
    initiator: str
    user: str
    participants: tuple[str, ...] = ()
    duration: int = 0
    reason: str = ""


class ChatAppClientCodec:
    """One connection's codec for client programs (`imserver.wire.base.ClientCodec`).

    Args:
        now: the wall clock, float seconds, for timestamps; None = lines have none.
    """

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._now = now

    def request(self, command: Any, tag: Any) -> bytes:
        """The line for a command; `tag` becomes its id. Heartbeats and voice go out as events.

        Raises:
            ValueError: this dialect cannot carry the command.
        """
        write = _WRITERS.get(type(command))
        if write is None:
            name, payload = drafted.payload_of(command)
        else:
            name, payload = write(command)
        kind = "request"
        if isinstance(command, Ping):
            name, kind = MsgType.HEARTBEAT, "event"
        elif isinstance(command, CallMedia):
            kind = "event"
        elif isinstance(command, SendMessage):
            tag = command.client_id if tag is None else tag
        elif isinstance(command, StartCall | StartGroupCall):
            tag = command.call
        line: Payload = {"id": "" if tag is None else str(tag), "type": kind}
        if self._now is not None:
            line["timestamp"] = int(self._now())
        line |= {"command": name.value, "headers": {"version": VERSION}, "payload": payload}
        return drafted.encode(line)

    def decode(self, frame: bytes) -> tuple[Any, Any]:
        """Reads one line of the server; see `ClientCodec.decode`.

        A piece of a long message is a row of its own.

        Raises:
            WireError: the server broke the format.
        """
        try:
            if len(frame) > LINE_BYTES:
                raise ValueError("the line is too long")
            message = decode_msg(frame)
            _check(message)
            return self._decode(message)
        except drafted.FAULTS as fault:
            raise WireError(ErrorCode.BAD_REQUEST, "this is no line of a server") from fault

    def _decode(self, message: MsgBase) -> tuple[Any, Any]:
        payload = message.payload
        if message.type == "event":
            return None, _event(message)
        if payload["status"] not in (200, 202):
            return message.id, error_from_payload(payload)
        name = _NAMES.get(message.command)
        if name is None:
            known = find(message.command)
            if known is None:
                raise ValueError("an answer to an unknown command")
            name = known.name
        read = _READERS.get(name)
        if read is not None:
            return message.id, read(payload)
        return message.id, read_reply(name, payload)


_NAMES: Final = {answer: name for name, answer in ANSWERS.items()}


def _check(message: MsgBase) -> None:
    if type(message.id) is not str or type(message.timestamp) is not int:
        raise ValueError("an id that is no string, or a timestamp that is no integer")
    if message.headers is None or message.headers.get("version") != VERSION:
        raise ValueError("no version")
    if message.type not in ("response", "event") or None in message.payload.values():
        raise ValueError("not what a server sends")


# Out


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


_WRITERS: Final[dict[type, Callable[[Any], tuple[Any, Payload]]]] = {
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


# In


def _logged_in(payload: Payload) -> LoggedIn:
    return LoggedIn(payload["user_id"], payload["token"], "", payload["expires_in"], 0, 0, "")


def _refreshed(payload: Payload) -> TokensRefreshed:
    return TokensRefreshed(payload["user_id"], payload["token"], "", payload["expires_in"])


def _presence(payload: Payload) -> PresenceList:
    return PresenceList([UserPresence(user, PresenceState.ONLINE, 0.0) for user in payload["users"]])


def _room_of(payload: Payload) -> GroupReply | Done:
    if "owner" not in payload:
        return Done()
    owner, members = payload["owner"], payload["members"]
    return GroupReply(
        Group(
            payload["room_id"],
            payload["room_id"],
            owner,
            False,
            False,
            float(payload["created_at"]),
            len(members),
            [_member(user, owner) for user in members],
            payload["encrypted"],
        )
    )


def _member(user: str, owner: str = "") -> GroupMember:
    return GroupMember(user, GroupRole.OWNER if user == owner else GroupRole.MEMBER, 0.0)


def _rooms(payload: Payload) -> GroupList:
    return GroupList([Group(room, room, "", False, False, 0.0, 0) for room in payload["rooms"]])


def _members(payload: Payload) -> MemberList:
    return MemberList(payload["room_id"], [_member(user) for user in payload["members"]])


def _standing(payload: Payload) -> FriendReply:
    return FriendReply(payload["user_id"], Standing(payload["state"]), payload["request_id"])


def _friends(payload: Payload) -> FriendList:
    return FriendList(
        [Friend(one["friend_id"], float(one["since"])) for one in payload["friends"]],
        [_request(one, one["from_user"]) for one in payload["pending_requests"]],
        [_request(one, one["target_id"]) for one in payload["sent_requests"]],
        [],
    )


def _request(value: Payload, user: str) -> FriendRequest:
    return FriendRequest(value["request_id"], user, value["message"], float(value["created_at"]))


def _requested(payload: Payload) -> RelaysRequested:
    relays = [RelayTo(one["session_id"], one["target_id"]) for one in payload["sessions"]]
    return RelaysRequested(relays, payload["file_name"], payload["file_size"])


_READERS: Final[dict[Any, Callable[[Payload], Any]]] = {
    MsgType.LOGIN: _logged_in,
    MsgType.REGISTER: lambda payload: Registered(payload["user_id"]),
    MsgType.REFRESH: _refreshed,
    MsgType.PRESENCE_LIST: _presence,
    MsgType.GROUP_CREATE: _room_of,
    MsgType.GROUP_JOIN: _room_of,
    MsgType.GROUP_INFO: _room_of,
    MsgType.GROUP_LEAVE: _room_of,
    MsgType.GROUP_INVITE: _room_of,
    MsgType.GROUP_KICK: _room_of,
    MsgType.GROUP_DELETE: _room_of,
    MsgType.GROUP_LIST: _rooms,
    MsgType.GROUP_MEMBERS: _members,
    MsgType.FRIEND_REQUEST: _standing,
    MsgType.FRIEND_ACCEPT: _standing,
    MsgType.FRIEND_REJECT: _standing,
    MsgType.FRIEND_DELETE: _standing,
    MsgType.FRIEND_BLOCK: _standing,
    MsgType.FRIEND_UNBLOCK: _standing,
    MsgType.FRIEND_LIST: _friends,
    MsgType.FILE_REQUEST: _requested,
    MsgType.FILE_ACCEPT: accepted_from_fields,
    MsgType.FILE_REJECT: lambda payload: Done(),
    MsgType.FILE_COMPLETE: lambda payload: Done(),
}

_FRIEND_EVENTS: Final = {word: change for change, word in FRIEND_CHANGES.items()}


def _event(message: MsgBase) -> Any:
    payload = message.payload
    match message.command:
        case MsgType.MESSAGE_EVENT:
            return row_from_dict(payload)
        case ChatAppType.FRIEND_EVENT:
            return FriendChanged(
                _FRIEND_EVENTS[payload["event_type"]],
                payload["target_id"],
                payload["from_user"],
                float(payload["created_at"]),
                payload["request_id"],
                payload["message"],
            )
        case ChatAppType.VOICE_EVENT:
            return _voice(payload)
        case ChatAppType.VOICE_DATA:
            return CallMedia(bytes.fromhex(payload["data"]), payload["call_id"], payload["from_user"])
        case MsgType.ACK:
            return drafted.SendFailed(message.id, error_from_payload(payload))
    if message.command.startswith("file/"):
        return event_from_fields(message.command, payload)
    known = find(message.command)
    if known is None:
        raise ValueError("an unknown event")
    return event_from_payload(known.name, payload)


def _voice(payload: Payload) -> VoiceEvent:
    return VoiceEvent(
        payload["event_type"],
        payload["call_id"],
        payload["call_type"],
        payload["target_id"],
        payload["initiator"],
        payload["user_id"],
        tuple(payload.get("participants", ())),
        payload.get("duration", 0),
        payload.get("reason", ""),
    )
