"""Administration of accounts. Every change acts on live sessions and on log-ins under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger

from imserver.model.accounts import Account, KickReason, Principal, Role, SessionKicked
from imserver.model.admin import (
    ChangePassword,
    CreateUser,
    DisableUser,
    EnableUser,
    InspectToken,
    IssueTokens,
    KickUser,
    ListUsers,
    RotateTokenKeys,
    SetRole,
    TokenKeysRotated,
    TokenReply,
    TokensIssued,
    UserInfo,
    UserList,
    UserReply,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import check_id, id_fault
from imserver.services.grants import Grants
from imserver.services.passwords import PasswordHasher
from imserver.services.ports import Bus, Directory
from imserver.services.tokens import KeyRingError, Tokens

ADMIN_COMMANDS: tuple[type, ...] = (
    ChangePassword,
    CreateUser,
    DisableUser,
    EnableUser,
    KickUser,
    ListUsers,
    RotateTokenKeys,
    SetRole,
)
OPERATOR_COMMANDS: tuple[type, ...] = (InspectToken, IssueTokens)
"""For the operator at the machine only; dispatch does not serve them."""
DEFAULT_PAGE = 100
MAX_PAGE = 1000


class AccountAdministration:
    """What an administrator may do.

    The account is changed first (its generation grows, so a log-in that began
    earlier fails at its end), then grants are revoked, then sessions end: in this
    order nobody slips through.
    """

    log = Logger()

    def __init__(
        self,
        directory: Directory,
        bus: Bus,
        hasher: PasswordHasher,
        tokens: Tokens,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._directory = directory
        self._bus = bus
        self._hasher = hasher
        self._tokens = tokens
        self._wall_time = wall_time
        self._grants = Grants(directory, bus, tokens, wall_time, random_bytes)

    async def administer(self, principal: Principal, command: Any) -> Any:
        """Runs a command of `model.admin` for a logged-in user.

        The role is read anew, since it may have changed after the log-in.

        Raises:
            ImError: FORBIDDEN unless the user is an administrator and it is one of
                ADMIN_COMMANDS; else as `perform`.
        """
        await self.require_administrator(principal)
        if not isinstance(command, ADMIN_COMMANDS):
            raise ImError(ErrorCode.FORBIDDEN, "only the operator may do this")
        return await self.perform(command)

    async def require_administrator(self, principal: Principal) -> None:
        """FORBIDDEN unless the user is an administrator now."""
        account = await self._directory.account(principal.user)
        if account is None or account.disabled or account.role is not Role.ADMIN:
            raise ImError(ErrorCode.FORBIDDEN, "only an administrator may do this")

    async def perform(self, command: Any) -> Any:
        """Runs a command of `model.admin` for the operator at the machine, without a check of role.

        Raises:
            ImError: USER_NOT_FOUND, USER_EXISTS, BAD_REQUEST, UNAVAILABLE, UNKNOWN_COMMAND;
                what `issue_tokens` and `inspect_token` say.
        """
        match command:
            case CreateUser():
                account = await self.create_user(
                    command.user, command.password, hashed=command.hashed, role=command.role
                )
            case DisableUser():
                account = await self.disable(command.user)
            case EnableUser():
                account = await self.enable(command.user)
            case ChangePassword():
                account = await self.change_password(command.user, command.password, hashed=command.hashed)
            case KickUser():
                account = await self.kick(command.user, command.text)
            case SetRole():
                account = await self.set_role(command.user, command.role)
            case ListUsers():
                return await self.list_users(command.after, command.limit)
            case IssueTokens():
                return await self.issue_tokens(command.user, command.platform, command.rooms, command.roles)
            case InspectToken():
                return await self.inspect_token(command.token)
            case RotateTokenKeys():
                return self.rotate_token_keys(forget_old=command.forget_old)
            case _:
                raise ImError(ErrorCode.UNKNOWN_COMMAND, "this command is not served here")
        return UserReply(_info(account))

    async def create_user(
        self, user: str, password: str = "", *, hashed: bool = False, role: Role = Role.USER
    ) -> Account:
        """Creates an account; without a password it cannot log in by one.

        Raises:
            ImError: BAD_REQUEST, USER_EXISTS, UNAVAILABLE.
        """
        check_id(user)
        digest = self._hasher.digest(password, hashed) if password or hashed else ""
        # Asked before the costly hash; `create_account` decides.
        if await self._directory.account(user) is not None:
            raise ImError(ErrorCode.USER_EXISTS, "this user exists already")
        password_hash = await self._hasher.hash(digest) if digest else ""
        account = Account(user, password_hash, role, created_at=self._wall_time())
        await self._directory.create_account(account)
        return account

    async def disable(self, user: str) -> Account:
        """Refuses further log-ins, revokes all grants, ends all sessions. USER_NOT_FOUND."""
        account = await self._directory.change_account(_possible(user), disabled=True)
        await self._grants.revoke_all(user, "the account was disabled")
        self.log.info("account {user} disabled", user=user)
        return account

    async def enable(self, user: str) -> Account:
        """Allows log-ins again. USER_NOT_FOUND."""
        account = await self._directory.change_account(_possible(user), disabled=False)
        self.log.info("account {user} enabled", user=user)
        return account

    async def change_password(self, user: str, password: str, *, hashed: bool = False) -> Account:
        """Sets another password, revokes all grants, ends all sessions. USER_NOT_FOUND, BAD_REQUEST."""
        digest = self._hasher.digest(password, hashed)
        if await self._directory.account(_possible(user)) is None:
            raise _unknown()
        password_hash = await self._hasher.hash(digest)
        account = await self._directory.change_account(user, password_hash=password_hash)
        await self._grants.revoke_all(user, "the password was changed")
        self.log.info("password of account {user} changed", user=user)
        return account

    async def kick(self, user: str, text: str = "") -> Account:
        """Revokes all grants and ends all sessions. USER_NOT_FOUND."""
        account = await self._directory.bump_generation(_possible(user))
        await self._grants.revoke_all(user, text or "ended by an administrator")
        self.log.info("user {user} kicked", user=user)
        return account

    async def set_role(self, user: str, role: Role) -> Account:
        """Sets the role and ends all sessions, since theirs was fixed at the log-in. USER_NOT_FOUND."""
        account = await self._directory.change_account(_possible(user), role=role)
        self._bus.kick(user, SessionKicked(KickReason.ACCOUNT, "the role was changed; log in again"))
        self.log.info("account {user} has role {role} now", user=user, role=role.value)
        return account

    async def list_users(self, after: str = "", limit: int = 0) -> UserList:
        """Accounts with user id > `after` in byte order: 100 by default, 1,000 at the most. BAD_REQUEST."""
        if after:
            check_id(after)
        limit = min(limit, MAX_PAGE) if limit > 0 else DEFAULT_PAGE
        accounts = await self._directory.accounts(after, limit + 1)
        return UserList([_info(account) for account in accounts[:limit]], len(accounts) > limit)

    async def issue_tokens(
        self,
        user: str,
        platform: str = "",
        rooms: Sequence[str] | None = None,
        roles: Sequence[str] | None = None,
    ) -> TokensIssued:
        """Opens a grant as a log-in by password does. USER_NOT_FOUND; FORBIDDEN for a disabled account."""
        account = await self._directory.account(_possible(user))
        if account is None:
            raise _unknown()
        if account.disabled:
            raise ImError(ErrorCode.FORBIDDEN, "the account is disabled")
        granted = await self._grants.open(user, platform, rooms, roles)
        now = await self._directory.account(user)
        if now is None or now.disabled or now.generation != account.generation:
            # A kick or a disabling came in between and did not know of this grant.
            await self._directory.revoke_grants(user, granted.sid)
            raise ImError(ErrorCode.CONFLICT, "the account was changed meanwhile")
        self.log.info("tokens issued for {user} by the operator", user=user)
        tokens = granted.tokens
        return TokensIssued(user, granted.sid, tokens.access, tokens.refresh, tokens.expires_in)

    async def inspect_token(self, token: str) -> TokenReply:
        """Checks an access token as a log-in would. AUTH_FAILED, TOKEN_EXPIRED, FORBIDDEN if disabled."""
        claims = self._tokens.verify_access(token)
        account = await self._directory.account(claims.user)
        if account is None:
            raise ImError(ErrorCode.AUTH_FAILED, "the token's user has no account here")
        if not claims.external and not await self._grants.alive(claims.user, claims.sid):
            raise ImError(ErrorCode.AUTH_FAILED, "the token was revoked")
        if account.disabled:
            raise ImError(ErrorCode.FORBIDDEN, "the account is disabled")
        return TokenReply(
            claims.user,
            claims.sid,
            claims.platform,
            claims.expires_at,
            claims.external,
            claims.rooms,
            claims.roles,
        )

    def reload_token_keys(self) -> None:
        """Takes up what the key file holds now. KeyRingError; then nothing changed."""
        self._tokens.key_ring.refresh()

    def rotate_token_keys(self, *, forget_old: bool = False) -> TokenKeysRotated:
        """Signs with a new key from now on. UNAVAILABLE if it could not be saved."""
        try:
            key = self._tokens.key_ring.rotate(self._wall_time(), keep_old=not forget_old)
        except KeyRingError as error:
            self.log.error("the token keys were not rotated: {error}", error=str(error))
            raise ImError(ErrorCode.UNAVAILABLE, "the new key could not be saved") from error
        return TokenKeysRotated(key.kid)


def _possible(user: str) -> str:
    """The user, if the id is one that an account may have; no backend has to cope with others."""
    if id_fault(user) is not None:
        raise _unknown()
    return user


def _unknown() -> ImError:
    return ImError(ErrorCode.USER_NOT_FOUND, "there is no such user")


def _info(account: Account) -> UserInfo:
    return UserInfo(
        account.user, account.role, account.disabled, account.created_at, bool(account.password_hash)
    )
