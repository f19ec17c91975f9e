"""Payloads of auth, presence, control and notification."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.described.base import Id, Ok, Seconds, Seq, Text


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


class Notification(Struct):
    """What happened; the members depend on `event_type`, and more types will come."""

    event_type: Text
