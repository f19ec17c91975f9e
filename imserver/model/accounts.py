"""Accounts, log-in and tokens."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from msgspec import Struct

from imserver.model.ice import IceServer


class Role(enum.StrEnum):
    """What an account may do beyond chatting."""

    USER = "user"
    ADMIN = "admin"


class Account(Struct, frozen=True, gc=False):
    """One account.

    Attributes:
        user: the user id, which is the user name, case-sensitive.
        password_hash: argon2id over the lower-case SHA-256 hex of the password; "" = no password.
        generation: grows with every password change, disable and kick; a log-in
            that began under an older one is refused at its end.
    """

    user: str
    password_hash: str
    role: Role = Role.USER
    disabled: bool = False
    created_at: float = 0.0
    generation: int = 0


class Grant(Struct, frozen=True, gc=False):
    """One log-in of which tokens were issued (the token claim `sid`); a family of refresh tokens.

    Attributes:
        refresh_id: the id (claim `jti`) of the refresh token that is valid now.
        previous_id: the one before it.
        request_digest: hash of the request id by which `previous_id` was exchanged.
        rotated_at: when that was, float seconds.
        expires_at: end of the last refresh token's life.
    """

    sid: str
    user: str
    platform: str
    refresh_id: str
    created_at: float
    expires_at: float
    previous_id: str = ""
    request_digest: str = ""
    rotated_at: float = 0.0
    revoked: bool = False


class Principal(Struct, frozen=True, gc=False):
    """Who is behind a session: the only identity services ever use.

    Attributes:
        user: user id.
        session: id of the live session, unique over all nodes.
        format: the format key, the scope of client ids; services compare it, never branch on it.
        device: the device name within (user, format); "" if the client named none.
        sid: the log-in grant; "" for demo and foreign tokens.
    """

    user: str
    session: str
    format: str
    device: str = ""
    platform: str = ""
    role: Role = Role.USER
    sid: str = ""


# Commands


class Hello(Struct, frozen=True):
    """The client introduces itself before it logs in (001 CONNECT_REQ)."""

    client_id: str = ""
    platform: str = ""
    app_version: str = ""
    sdk_version: str = ""
    device_info: str = ""
    extra: dict[str, str] = {}


class LogIn(Struct, frozen=True, gc=False):
    """Authenticate: by token, or by user name and password.

    Attributes:
        user: required with a password; with a token, "" or the token's user.
        password: the plain password or, where `hashed`, its lower-case SHA-256 hex.
        device: "" = what Hello said, else the platform.
        register: create the account with this password first.
        unproven: the user's word is enough (document 000's registration): a codec sets it
            only where its listener allows that. Unknown accounts are created; refused for
            accounts with a password or the role admin, except on a demo server.
    """

    user: str = ""
    token: str = ""
    password: str = ""
    hashed: bool = False
    platform: str = ""
    device: str = ""
    register: bool = False
    unproven: bool = False


class Register(Struct, frozen=True, gc=False):
    """Create an account. It does not log in."""

    user: str
    password: str
    hashed: bool = False
    platform: str = ""


class RefreshTokens(Struct, frozen=True, gc=False):
    """Exchange a refresh token; a retry with the same request id gets the first answer."""

    refresh_token: str
    request_id: str = ""


class RenewToken(Struct, frozen=True, gc=False):
    """Exchange an access token that is still good for a later one (document 004, dialect chat-app).

    For clients that know no refresh tokens: it renews as long as that of the log-in would have lived.
    """

    token: str


class LogOut(Struct, frozen=True, gc=False):
    """End this session and revoke its grant."""


class Disconnect(Struct, frozen=True, gc=False):
    """Close this connection; the grant lives on (001 DISCONNECT_REQ)."""


class Ping(Struct, frozen=True, gc=False):
    """Prove that the link works. `time` is the client's clock, float seconds, 0 if not told."""

    time: float = 0.0
    seq: int | None = None


# Replies


class HelloReply(Struct, frozen=True, gc=False):
    """Answer to Hello."""

    session: str
    server_time: float


class LoggedIn(Struct, frozen=True, gc=False):
    """Logged in.

    Attributes:
        token / refresh_token: "" where none was issued (log-in by a token keeps that token).
        expires_in: seconds the access token still lives.
        head: the user's highest inbox number.
        first_seq: the first one still kept.
        epoch: the inbox epoch.
        ice_servers: for formats whose calls are WebRTC.
    """

    user: str
    token: str
    refresh_token: str
    expires_in: int
    head: int
    first_seq: int
    epoch: str
    ice_servers: Sequence[IceServer] = ()


class Registered(Struct, frozen=True, gc=False):
    """The account exists now."""

    user: str


class TokensRefreshed(Struct, frozen=True, gc=False):
    """New tokens; the refresh token that was sent is spent. After RenewToken there is no new one ("")."""

    user: str
    token: str
    refresh_token: str
    expires_in: int


class Pong(Struct, frozen=True, gc=False):
    """Answer to Ping: the server's clock, float seconds, and what the Ping carried."""

    server_time: float
    time: float = 0.0
    seq: int | None = None


# Events


class KickReason(enum.IntEnum):
    """Why the server ends a session; the numbers are document 001's KICK_OUT reasons."""

    OTHER_DEVICE = 1
    ACCOUNT = 2
    SHUTDOWN = 3
    SLOW = 4


class SessionKicked(Struct, frozen=True, gc=False):
    """The server ends this session.

    Attributes:
        retry_after: SHUTDOWN: seconds after which it may come back, so that not all do at once.
    """

    reason: KickReason
    text: str
    retry_after: float = 0.0
