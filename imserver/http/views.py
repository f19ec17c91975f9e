"""The data of REST answers, as structs. Times are Unix time in seconds."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from imserver.model.accounts import Account
from imserver.model.admin import SessionInfo, UserInfo
from imserver.model.call_records import CallRecord
from imserver.model.conversations import Summary
from imserver.model.groups import Group, GroupMember
from imserver.model.messages import InboxRow, Message
from imserver.wire import content as contents
from imserver.wire.jsonline.extensions import ContentType

JsonObject = Annotated[Any, Meta(extra_json_schema={"type": "object"})]
JsonObjects = Annotated[Any, Meta(extra_json_schema={"type": ["array", "null"], "items": {"type": "object"}})]
OptionalObject = Annotated[Any, Meta(extra_json_schema={"type": ["object", "null"]})]


class UserView(Struct, frozen=True):
    """An account."""

    id: str
    username: str
    role: str
    disabled: bool
    has_password: bool
    created_at: float


class OwnerView(Struct, frozen=True):
    """Whose tokens these are."""

    id: str
    username: str


class LoginData(Struct, frozen=True):
    """Tokens. `token` and `access_token` are the same; `expires_in` seconds it lives."""

    token: str
    access_token: str
    refresh_token: str
    expires_in: int
    user_id: str = msgspec.field(name="userID")
    user: OwnerView


class UserData(Struct, frozen=True):
    """One account."""

    user: UserView


class UsersData(Struct, frozen=True):
    """Accounts ascending by id; go on with `after` = the last one's id."""

    users: list[UserView]
    has_more: bool


class TargetView(Struct, frozen=True, omit_defaults=True):
    """Where a message went: type user, group or broadcast."""

    type: str
    id: str = ""


class MessageView(Struct, frozen=True, omit_defaults=True):
    """A message; `seq` where it was read from the inbox, `position` is its place in the conversation."""

    message_id: str
    conversation_id: str
    position: int
    sender_id: str
    target: TargetView
    content: JsonObject
    sent_at: float
    seq: int = 0
    client_id: str = ""
    attachments: JsonObjects = None
    meta: OptionalObject = None
    extra: dict[str, str] = {}
    revoked: bool = False
    revoked_by: str = ""
    revoked_at: float = 0.0


class MessagesData(Struct, frozen=True):
    """Messages ascending; go on with `since` = `next_cursor`."""

    messages: list[MessageView]
    next_cursor: str
    has_more: bool


class SentData(Struct, frozen=True):
    """The message is durable; `seq` is its number in the sender's inbox."""

    message_id: str
    conversation_id: str
    seq: int
    sent_at: float
    pending: bool


class CallView(Struct, frozen=True):
    """A call of one's own; null = not (yet).

    `call_type` is audio or video, `ending` how it ended, `ended_by` who ended it, `duration` whole
    seconds from the answer to the end; `missed`: somebody was called, and nobody answered.
    """

    call_id: str
    caller_id: str
    callee_id: str
    call_type: str
    created_at: float
    answered_at: float | None
    ended_at: float | None
    duration: int
    ending: str | None
    ended_by: str | None
    missed: bool


class CallsData(Struct, frozen=True):
    """Calls, the newest first; go on with `after` = `next_cursor`."""

    calls: list[CallView]
    next_cursor: str
    has_more: bool


class IceServerView(Struct, frozen=True, omit_defaults=True):
    """As RTCIceServer; STUN servers need no credentials."""

    urls: list[str]
    username: str = ""
    credential: str = ""


class IceData(Struct, frozen=True):
    """The `iceServers` of an RTCPeerConnection."""

    ice_servers: list[IceServerView]


class ConversationView(Struct, frozen=True):
    """A conversation; `last_message` is null where there is none to see."""

    conversation_id: str
    type: str
    id: str
    title: str
    position: int
    last_message: MessageView | None


class ConversationsData(Struct, frozen=True):
    """Conversations, the one with the newest message first; go on with `after` = `next_cursor`."""

    conversations: list[ConversationView]
    next_cursor: str
    has_more: bool


class MemberView(Struct, frozen=True):
    """A member of a group."""

    user_id: str
    role: str
    joined_at: float


class GroupView(Struct, frozen=True):
    """A group; `members` is empty in lists, and for those who are not members."""

    group_id: str
    conversation_id: str
    name: str
    owner: str
    open: bool
    has_password: bool
    created_at: float
    member_count: int
    members: list[MemberView]


class GroupData(Struct, frozen=True):
    """One group."""

    group: GroupView


class GroupsData(Struct, frozen=True):
    """Groups ascending by id; go on with `after` = the last one's id."""

    groups: list[GroupView]
    has_more: bool


class MembersData(Struct, frozen=True):
    """Members ascending by id."""

    group_id: str
    members: list[MemberView]


class SessionView(Struct, frozen=True):
    """A live session."""

    session_id: str
    user_id: str
    format: str
    device: str
    platform: str
    role: str
    address: str
    secure: bool


class SessionsData(Struct, frozen=True):
    """Live sessions ascending by id; go on with `after` = the last one's id."""

    sessions: list[SessionView]
    has_more: bool


class StatsData(Struct, frozen=True):
    """What the server counts; counters begin at its start."""

    uptime_seconds: float
    connections: int
    unauthenticated: int
    refused_connections: int
    sessions: dict[str, int]
    accepted: dict[str, int]
    refused: dict[str, int]
    delivered: dict[str, int]
    dropped_events: int
    slow_peers: int
    log_ins: int
    failed_log_ins: int
    outbox_bytes: int
    store_bytes: int
    calls_ringing: int
    calls_running: int
    calls_ended: dict[str, int]


def own_user(account: Account) -> UserView:
    """An account as its owner sees it."""
    return UserView(
        account.user, account.user, account.role.value, account.disabled,
        bool(account.password_hash), account.created_at,
    )  # fmt: skip


def user(info: UserInfo) -> UserView:
    """An account as administrators see it."""
    return UserView(info.user, info.user, info.role.value, info.disabled, info.has_password, info.created_at)


def message(value: Message, seq: int = 0) -> MessageView:
    """A message as JSON formats write it."""
    if value.group:
        target = TargetView("group", value.group)
    elif value.recipient:
        target = TargetView("user", value.recipient)
    else:
        target = TargetView("broadcast")
    revoked = value.revoked
    if revoked is not None:
        return MessageView(
            value.message_id, value.conversation, value.position, value.sender, target,
            {"type": ContentType.REVOKED.value}, value.server_at, seq, value.client_id,
            revoked=True, revoked_by=revoked.by, revoked_at=revoked.at,
        )  # fmt: skip
    return MessageView(
        value.message_id,
        value.conversation,
        value.position,
        value.sender,
        target,
        msgspec.Raw(contents.to_json(value.content)),
        value.server_at,
        seq,
        value.client_id,
        msgspec.Raw(value.attachments) if value.attachments else None,
        msgspec.Raw(value.meta) if value.meta else None,
        value.extra,
    )


def rows(values: list[InboxRow]) -> list[MessageView]:
    """Messages of a page."""
    return [message(row.message, row.seq) for row in values]


def conversation(value: Summary) -> ConversationView:
    """A conversation in the list."""
    return ConversationView(
        value.conversation,
        "group" if value.group else "user",
        value.group or value.peer,
        value.title,
        value.position,
        None if value.last is None else message(value.last),
    )


def call(value: CallRecord) -> CallView:
    """A call in the list."""
    return CallView(
        value.call,
        value.caller,
        value.callee,
        "video" if value.video else "audio",
        value.created_at,
        value.answered_at or None,
        value.ended_at or None,
        value.duration,
        None if value.ending is None else value.ending.value,
        value.by or None,
        value.missed,
    )


def members(values: list[GroupMember]) -> list[MemberView]:
    """Members of a group."""
    return [MemberView(value.user, value.role.value, value.joined_at) for value in values]


def group(value: Group) -> GroupView:
    """A group."""
    return GroupView(
        value.group,
        "group_" + value.group,
        value.name,
        value.owner,
        value.open,
        value.has_password,
        value.created_at,
        value.member_count,
        members(value.members),
    )


def session(value: SessionInfo) -> SessionView:
    """A live session."""
    return SessionView(
        value.session, value.user, value.format, value.device, value.platform,
        value.role.value, value.address, value.secure,
    )  # fmt: skip
