"""The envelope and the payloads of document 004 as typed structs.

Fields that a client may leave out may also be null. Fields not named here are
tolerated and ignored. Ids may be JSON integers.
"""

from __future__ import annotations

import uuid
from typing import Any

from msgspec import Raw, Struct, field

Id = str | int


class MsgBase(Struct, kw_only=True, omit_defaults=True):
    """A message of either direction, payload and headers as plain objects (§1).

    Attributes:
        id: ties an answer to its request; null in answers to what had no readable one.
        type: request, response or event.
        timestamp: Unix time, seconds.
        command: see `MsgType`.
        headers: version, Authorization, trace, …
        payload: depends on the command.
    """

    id: Id | None = None
    type: str = field(default_factory=lambda: "request")
    timestamp: int | float | None = None
    command: str
    headers: dict[str, Any] | None = None
    payload: dict[str, Any] = field(default_factory=dict)


def create_msg(
    command: str,
    payload: dict[str, Any] | None = None,
    *,
    id: Id | None = None,
    type: str = "request",
    timestamp: int | None = None,
    headers: dict[str, Any] | None = None,
) -> MsgBase:
    """A message to send; without `id` it gets a random UUID."""
    return MsgBase(
        id=str(uuid.uuid4()) if id is None else id,
        type=type,
        timestamp=timestamp,
        command=str(command),
        headers=headers,
        payload={} if payload is None else payload,
    )


class Headers(Struct, gc=False):
    """What the server reads of `headers` (§1, §3, §4, §9)."""

    version: str | int | float | None = None
    authorization: str | None = field(default=None, name="Authorization")
    authorization_lower: str | None = field(default=None, name="authorization")
    trace: Raw = Raw(b"")
    encoding: str | None = None
    accept_encoding: str | None = None


class Envelope(Struct):
    """A client's line; the payload is read in a second step, by command."""

    command: str
    id: Id | None = None
    type: str | None = None
    timestamp: int | float | None = None
    headers: Headers | None = None
    payload: Raw = Raw(b"{}")


class Nothing(Struct, gc=False):
    """The payload of commands that need none."""


class ClientInfo(Struct, gc=False):
    """`client_info` of the auth commands (§2.1)."""

    device: str | None = None
    platform: str | None = None


class LoginPayload(Struct, gc=False):
    """auth/login: username and password, or token."""

    username: Id | None = None
    password: str | None = None
    token: str | None = None
    client_info: ClientInfo | None = None


class RegisterPayload(Struct, gc=False):
    """auth/register."""

    username: Id
    password: str
    client_info: ClientInfo | None = None


class RefreshPayload(Struct, gc=False):
    """auth/refresh."""

    refresh_token: str


class HeartbeatPayload(Struct, gc=False):
    """presence/heartbeat (§2.2)."""

    seq: int | None = None


class PresenceUpdatePayload(Struct, gc=False):
    """presence/update: online, away or busy."""

    state: str


class PresenceListPayload(Struct):
    """presence/list: these users, or all contacts."""

    users: list[Id] | None = None


class Target(Struct, gc=False):
    """`target` (§2.3): type user, group, room or broadcast."""

    type: str
    id: Id | None = None


class SendPayload(Struct):
    """message/send (§2.3). The carried values are checked by the table of contents, not here."""

    content: Any = None
    conversation_id: Id | None = None
    conv_id: Id | None = None
    target: Target | None = None
    attachments: Any = None
    meta: Any = None
    extra: Any = None


class AckPayload(Struct, gc=False):
    """message/ack: everything up to a message id or a seq has arrived."""

    message_id: str | None = None
    seq: int | None = None


class HistoryPayload(Struct, gc=False):
    """message/history (§7)."""

    conversation_id: Id | None = None
    conv_id: Id | None = None
    target: Target | None = None
    since: Id | None = None
    limit: int | None = None


class ReadPayload(Struct):
    """message/read: one id or several."""

    message_ids: list[str] | None = None
    message_id: str | None = None
    conversation_id: Id | None = None
    conv_id: Id | None = None


class RevokePayload(Struct, gc=False):
    """message/revoke."""

    message_id: str
    conversation_id: Id | None = None
    conv_id: Id | None = None


class TypingPayload(Struct, gc=False):
    """message/typing."""

    typing: bool | None = None
    is_typing: bool | None = None
    conversation_id: Id | None = None
    conv_id: Id | None = None
    target: Target | None = None


class FriendPayload(Struct, gc=False):
    """friend/*: the other user, or the number of a request; a greeting."""

    user_id: Id | None = None
    request_id: int | None = None
    message: str | None = None


class GroupPayload(Struct):
    """group/*: the group, and what the single commands add."""

    group_id: Id | None = None
    room_id: Id | None = None
    name: str | None = None
    open: bool | None = None
    password: str | None = None
    members: list[Id] | None = None
    user_id: Id | None = None
