"""Administration of accounts and sessions: what the command line and the admin REST interface ask for.

Only for the role admin or the operator at the machine. Passwords come as in
`LogIn`: plain, or the lower-case SHA-256 hex where `hashed`. Groups have
`model.group_admin`.
"""

from __future__ import annotations

from msgspec import Struct

from imserver.model.accounts import Role


class CreateUser(Struct, frozen=True, gc=False):
    """Create an account. password "" = an account that cannot log in by password."""

    user: str
    password: str = ""
    hashed: bool = False
    role: Role = Role.USER


class DisableUser(Struct, frozen=True, gc=False):
    """Refuse further log-ins, revoke all grants, end all sessions."""

    user: str


class EnableUser(Struct, frozen=True, gc=False):
    """Allow log-ins again. What was revoked stays revoked."""

    user: str


class ChangePassword(Struct, frozen=True, gc=False):
    """Set another password, revoke all grants, end all sessions."""

    user: str
    password: str
    hashed: bool = False


class KickUser(Struct, frozen=True, gc=False):
    """Revoke all grants and end all sessions; the user may log in again by password."""

    user: str
    text: str = ""


class SetRole(Struct, frozen=True, gc=False):
    """Set the role. Live sessions end, since theirs was fixed at the log-in; tokens stay valid."""

    user: str
    role: Role


class ListUsers(Struct, frozen=True, gc=False):
    """List accounts with user id > `after` in byte order; limit 0 = the default."""

    after: str = ""
    limit: int = 0


class RotateTokenKeys(Struct, frozen=True, gc=False):
    """Sign new tokens with a new key.

    Attributes:
        forget_old: also refuse every token signed so far (after a leak).
    """

    forget_old: bool = False


class ListSessions(Struct, frozen=True, gc=False):
    """List live sessions with session id > `after`: of one user, or (user "") of all.

    limit 0 = the default.
    """

    user: str = ""
    after: str = ""
    limit: int = 0


class EndSession(Struct, frozen=True, gc=False):
    """End one live session. Its tokens stay valid; `KickUser` revokes them."""

    session: str
    text: str = ""


# For the operator at the machine only: whoever may do this may be anybody.


class IssueTokens(Struct, frozen=True, gc=False):
    """Open a grant for a user, as a log-in by password does.

    Attributes:
        rooms / roles: what its tokens are good for in meeting rooms (`model.rooms.may_enter`).
    """

    user: str
    platform: str = ""
    rooms: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None


class InspectToken(Struct, frozen=True, gc=False):
    """Check an access token as a log-in would."""

    token: str


# Replies


class UserInfo(Struct, frozen=True, gc=False):
    """An account without its secrets; `created_at` in float seconds."""

    user: str
    role: Role
    disabled: bool
    created_at: float
    has_password: bool


class UserReply(Struct, frozen=True, gc=False):
    """The account as it is now."""

    user: UserInfo


class UserList(Struct, frozen=True):
    """Accounts ascending; `has_more` if there are some after the last one here."""

    users: list[UserInfo]
    has_more: bool


class TokenKeysRotated(Struct, frozen=True, gc=False):
    """The id of the key that signs from now on."""

    kid: str


class SessionInfo(Struct, frozen=True, gc=False):
    """A live session: who, speaking what, from which IP address ("" for a unix socket)."""

    session: str
    user: str
    format: str
    device: str
    platform: str
    role: Role
    address: str
    secure: bool


class SessionList(Struct, frozen=True):
    """Sessions ascending by id; `has_more` if there are some after the last one here."""

    sessions: list[SessionInfo]
    has_more: bool


class TokensIssued(Struct, frozen=True, gc=False):
    """The tokens of a new grant `sid`; `expires_in`: seconds the access token lives."""

    user: str
    sid: str
    token: str
    refresh_token: str
    expires_in: int


class TokenReply(Struct, frozen=True, gc=False):
    """What a valid access token says.

    Attributes:
        sid: its grant; "" for a foreign token.
        expires_at: float seconds.
        external: signed by a foreign issuer.
        rooms / roles: see IssueTokens.
    """

    user: str
    sid: str
    platform: str
    expires_at: float
    external: bool
    rooms: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
