"""The payloads of document 004 as the published schemas describe them (§8, `schemas/`).

What clients send is described more strictly than it is read (null for "absent" and the spellings
for other clients are left out); what the server sends as it is. Codecs do not use these structs.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from imserver.wire.jsonline.commands import MsgType

Seconds = Annotated[int, Meta(ge=0, description="Unix time in whole seconds; 0 = never")]
Seq = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Id = Annotated[str, Meta(min_length=1, max_length=255)] | Annotated[int, Meta(ge=0, le=2**53 - 1)]
Text = Annotated[str, Meta(min_length=1)]
Content = Annotated[
    dict[str, Any],
    Meta(
        description="an object with a type; text has its text in `text`",
        extra_json_schema={
            "required": ["type"],
            "properties": {"type": {"type": "string", "minLength": 1}, "text": {"type": "string"}},
        },
    ),
]


# The envelope


class Headers(Struct, omit_defaults=True):
    """`headers`; none of them is needed."""

    version: str | UnsetType = UNSET
    authorization: Annotated[str, Meta(pattern="^Bearer ")] | UnsetType = field(
        default=UNSET, name="Authorization"
    )
    trace: Any = None
    encoding: Literal["zlib"] | UnsetType = UNSET
    accept_encoding: Literal["zlib", ""] | UnsetType = UNSET
    supported_versions: tuple[str, str] | UnsetType = UNSET


class Request(Struct):
    """A line of a client."""

    command: Text
    id: Annotated[str, Meta(max_length=255)] | int | UnsetType = UNSET
    type: Literal["request", "event"] | UnsetType = UNSET
    timestamp: Annotated[int, Meta(gt=0)] | Annotated[float, Meta(gt=0)] | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET
    payload: dict[str, Any] | UnsetType = UNSET


class Response(Struct):
    """A line of the server that answers one of the client's, under its id."""

    id: str | int | None
    type: Literal["response"]
    timestamp: Seconds
    command: Text
    payload: dict[str, Any]
    headers: Headers | UnsetType = UNSET


class Event(Struct):
    """A line of the server that answers nothing."""

    id: str | int
    type: Literal["event"]
    timestamp: Seconds
    command: Text
    payload: dict[str, Any]
    headers: Headers | UnsetType = UNSET


class Error(Struct):
    """The payload of a response that is no success, of message/ack and of control/error."""

    status: Literal[400, 401, 403, 404, 409, 413, 426, 429, 500, 503]
    error_code: Annotated[int, Meta(ge=1001, le=1012)]
    error: Text
    error_message: str
    retryable: bool
    advice: str | UnsetType = UNSET
    server_time: Seconds | UnsetType = UNSET


class Sealed(Struct, forbid_unknown_fields=True):
    """An encrypted payload."""

    enc: Literal["aes-256-gcm"]
    kid: Text
    nonce: Annotated[str, Meta(min_length=16, max_length=16)]
    data: Text


class Ok(Struct):
    """A success without anything to tell."""

    status: Literal[200]


class Empty(Struct):
    """No payload is needed."""


# auth


class ClientInfo(Struct):
    """Which device this is: what it has received and what not is kept for each."""

    device: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    platform: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    version: str | UnsetType = UNSET


class Login(Struct):
    """username and password (plain, or its SHA-256 in lower-case hex), or a token."""

    username: Id | UnsetType = UNSET
    password: Text | UnsetType = UNSET
    token: Text | UnsetType = UNSET
    client_info: ClientInfo | UnsetType = UNSET


class LoginAnswer(Ok):
    """The session. After a log-in by token `refresh_token` is empty."""

    token: str
    refresh_token: str
    user_id: Text
    expires_in: Annotated[int, Meta(ge=0)]
    epoch: str
    max_seq: Seq
    first_seq: Seq
    signing_key: Annotated[str, Meta(min_length=44, max_length=44)] | UnsetType = UNSET


class Register(Struct):
    """A new account."""

    username: Id
    password: Text
    client_info: ClientInfo | UnsetType = UNSET


class RegisterAnswer(Ok):
    """It exists now."""

    user_id: Text


class Refresh(Struct):
    """The refresh token, which is spent by this."""

    refresh_token: Text


class RefreshAnswer(Ok):
    """The next tokens."""

    token: Text
    refresh_token: Text
    user_id: Text
    expires_in: Annotated[int, Meta(ge=0)]


class Kick(Struct):
    """The server ends the session; `message` is for people."""

    reason: Literal["other_device", "account"]
    message: str


# presence, control


class Heartbeat(Struct):
    """With `seq` an event is echoed."""

    seq: Seq | UnsetType = UNSET


class HeartbeatEcho(Struct):
    """The event comes back."""

    seq: Seq


class PingAnswer(Ok):
    """The server's clock, and what a heartbeat carried."""

    time: Seconds
    seq: Seq | UnsetType = UNSET


class PresenceUpdate(Struct):
    """One's own state."""

    state: Literal["online", "away", "busy"]


class PresenceUpdateAnswer(Ok):
    """It is set."""

    state: Literal["online", "away", "busy"]


class PresenceOf(Struct):
    """Somebody's state."""

    user_id: Text
    state: Literal["online", "away", "busy", "offline"]
    last_seen: Seconds


class PresenceList(Struct):
    """Of these users, or of all contacts."""

    users: list[Id] | UnsetType = UNSET


class PresenceListAnswer(Ok):
    """A list; with `continued` more of it comes under the same id."""

    users: list[PresenceOf]
    continued: Literal[True] | UnsetType = UNSET


# message


class Target(Struct):
    """To whom; a broadcast needs no id."""

    type: Literal["user", "group", "room", "broadcast"]
    id: Id | UnsetType = UNSET


class Send(Struct):
    """A message; the target decides, if there is one."""

    content: Content
    conversation_id: Id | UnsetType = UNSET
    target: Target | UnsetType = UNSET
    attachments: list[dict[str, Any]] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
    extra: dict[str, str] | UnsetType = UNSET


class SendAnswer(Struct):
    """The message is stored; 202: it is still being handed out."""

    status: Literal[200, 202]
    message_id: Text
    conversation_id: Text
    seq: Seq
    sent_at: Seconds


class TargetOf(Struct):
    """To whom a message was sent."""

    type: Literal["user", "group", "broadcast"]
    id: Text | UnsetType = UNSET


class MessageBody(Struct):
    """The draft's `message` object."""

    message_id: Text
    conversation_id: Text
    sender_id: Text
    sent_at: Seconds
    content: Content


class Item(MessageBody):
    """A message in a list. Of one that was taken back nothing but this is left."""

    target: TargetOf
    seq: Seq | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    attachments: list[dict[str, Any]] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
    extra: dict[str, str] | UnsetType = UNSET
    revoked: Literal[True] | UnsetType = UNSET
    revoked_by: Text | UnsetType = UNSET
    revoked_at: Seconds | UnsetType = UNSET


class MessageEvent(Item, kw_only=True):
    """A message: the draft's object, and the same flat beside it."""

    status: Literal[200]
    message: MessageBody
    seq: Seq


class Offline(Ok):
    """A page of what this device has not acknowledged."""

    messages: list[Item]
    has_more: bool
    first_seq: Seq
    max_seq: Seq
    epoch: str


class Ack(Struct):
    """Everything up to this message has arrived."""

    message_id: Text | UnsetType = UNSET
    seq: Annotated[int, Meta(ge=1, le=2**53 - 1)] | UnsetType = UNSET


class History(Struct):
    """A conversation, or the whole inbox."""

    conversation_id: Id | UnsetType = UNSET
    target: Target | UnsetType = UNSET
    since: Text | Seq | UnsetType = UNSET
    limit: Seq | UnsetType = UNSET


class HistoryAnswer(Ok):
    """A page, ascending; with `continued` more of it comes under the same id."""

    messages: list[Item]
    has_more: bool
    next_cursor: str | UnsetType = UNSET
    continued: Literal[True] | UnsetType = UNSET


class Read(Struct):
    """Messages that were read: one or several."""

    message_ids: Annotated[list[Text], Meta(min_length=1, max_length=500)] | UnsetType = UNSET
    message_id: Text | UnsetType = UNSET
    conversation_id: Id | UnsetType = UNSET


class ReadAnswer(Ok):
    """They are marked."""

    read_at: Seconds


class Revoke(Struct):
    """Take a message back."""

    message_id: Text
    conversation_id: Id | UnsetType = UNSET


class RevokeAnswer(Ok):
    """It is taken back."""

    message_id: Text
    revoked_at: Seconds


class Typing(Struct):
    """Began or stopped."""

    typing: bool
    conversation_id: Id | UnsetType = UNSET
    target: Target | UnsetType = UNSET


# group


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


# notification


class Notification(Struct):
    """What happened; the members depend on `event_type`, and more types will come."""

    event_type: Text


REQUESTS: Final[dict[MsgType, type[Struct]]] = {
    MsgType.LOGIN: Login,
    MsgType.REGISTER: Register,
    MsgType.REFRESH: Refresh,
    MsgType.LOGOUT: Empty,
    MsgType.HEARTBEAT: Heartbeat,
    MsgType.PING: Empty,
    MsgType.PRESENCE_UPDATE: PresenceUpdate,
    MsgType.PRESENCE_LIST: PresenceList,
    MsgType.SEND: Send,
    MsgType.ACK: Ack,
    MsgType.HISTORY: History,
    MsgType.READ: Read,
    MsgType.REVOKE: Revoke,
    MsgType.TYPING: Typing,
    MsgType.GROUP_CREATE: GroupCreate,
    MsgType.GROUP_JOIN: GroupJoin,
    MsgType.GROUP_LEAVE: GroupId,
    MsgType.GROUP_LIST: Empty,
    MsgType.GROUP_MEMBERS: GroupId,
    MsgType.GROUP_INFO: GroupId,
    MsgType.GROUP_INVITE: GroupMemberId,
    MsgType.GROUP_KICK: GroupMemberId,
    MsgType.GROUP_DELETE: GroupId,
}
"""The payloads of what clients send."""

ANSWERS: Final[dict[MsgType, type[Struct]]] = {
    MsgType.LOGIN: LoginAnswer,
    MsgType.REGISTER: RegisterAnswer,
    MsgType.REFRESH: RefreshAnswer,
    MsgType.LOGOUT: Ok,
    MsgType.HEARTBEAT: PingAnswer,
    MsgType.PING: PingAnswer,
    MsgType.PRESENCE_UPDATE: PresenceUpdateAnswer,
    MsgType.PRESENCE_LIST: PresenceListAnswer,
    MsgType.SEND: SendAnswer,
    MsgType.ACK: Ok,
    MsgType.HISTORY: HistoryAnswer,
    MsgType.READ: ReadAnswer,
    MsgType.REVOKE: RevokeAnswer,
    MsgType.TYPING: Ok,
    MsgType.GROUP_CREATE: GroupAnswer,
    MsgType.GROUP_JOIN: GroupAnswer,
    MsgType.GROUP_LEAVE: GroupDone,
    MsgType.GROUP_LIST: GroupListAnswer,
    MsgType.GROUP_MEMBERS: GroupMembersAnswer,
    MsgType.GROUP_INFO: GroupAnswer,
    MsgType.GROUP_INVITE: GroupDone,
    MsgType.GROUP_KICK: GroupDone,
    MsgType.GROUP_DELETE: GroupDone,
}
"""The payloads of successful responses."""

EVENTS: Final[dict[MsgType, type[Struct]]] = {
    MsgType.KICK: Kick,
    MsgType.HEARTBEAT: HeartbeatEcho,
    MsgType.PRESENCE_EVENT: PresenceOf,
    MsgType.ACK: Error,
    MsgType.MESSAGE_EVENT: MessageEvent,
    MsgType.OFFLINE: Offline,
    MsgType.ERROR: Error,
    MsgType.NOTIFICATION: Notification,
}
"""The payloads of the server's events."""

ALTERNATIVES: Final[dict[type[Struct], list[list[str]]]] = {
    Login: [["username", "password"], ["token"]],
    Send: [["conversation_id"], ["target"]],
    Ack: [["message_id"], ["seq"]],
    Read: [["message_ids"], ["message_id"]],
    Typing: [["conversation_id"], ["target"]],
}
"""Members of which at least one group must be there."""
