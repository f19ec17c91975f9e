"""Administration of accounts: what the command line and the admin REST interface ask for.

Only for the role admin or the operator at the machine. Passwords come as in
`LogIn`: plain, or the lower-case SHA-256 hex where `hashed`.
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
