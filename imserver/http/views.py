"""The data of REST answers about users, groups, sessions and the server, as structs.

Times are Unix time in seconds. What is said of messages is in `message_views`, of calls in `call_views`.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from imserver.model.accounts import Account
from imserver.model.admin import SessionInfo, UserInfo
from imserver.model.groups import Group, GroupMember


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
