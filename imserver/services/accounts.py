"""Accounts: who may log in.

A log-in is checked twice: `authenticate` when it arrives, `still_valid` after its
session has entered the registry (a glance at a number, where no account was changed since). A
disabling, kick or password change in between is seen by the second look; a later one finds the
session in the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec import Struct

from imserver.model.accounts import (
    Account,
    LogIn,
    Principal,
    RefreshTokens,
    Register,
    Registered,
    RenewToken,
    Role,
    TokensRefreshed,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import id_fault
from imserver.services.account_admin import ADMIN_COMMANDS, AccountAdministration
from imserver.services.limits import FailureWindow, RateLimiter, address_key
from imserver.services.passwords import PasswordHasher
from imserver.services.ports import Bus, Directory
from imserver.services.tokens import Tokens

__all__ = ["ADMIN_COMMANDS", "DEMO_GROUP", "DEMO_TOKEN", "DEMO_USERS", "Accounts", "Authenticated"]

DEMO_TOKEN = "demo_token_"  # noqa: S105 - a prefix, not a secret
DEMO_USERS = ("alice", "bob", "carol", "dave")
DEMO_GROUP = "demo"


class Authenticated(Struct, frozen=True, gc=False):
    """A log-in that was accepted.

    Attributes:
        account: as it was when the log-in was checked.
        sid: the grant; "" for demo and foreign tokens.
        token: a new access token, or the very one that was used.
        refresh_token: "" after a log-in by token.
        expires_in: seconds the access token still lives.
        changes: `Directory.account_changes` from before all of this was looked up.
    """

    account: Account
    platform: str
    sid: str
    token: str
    refresh_token: str
    expires_in: int
    changes: int | None = None


class Accounts(AccountAdministration):
    """Log-in, registration and tokens; administration comes from the base class.

    Args:
        directory / bus: the backend's.
        hasher / tokens: passwords and tokens.
        wall_time: float seconds since the epoch.
        random_bytes: source of ids.
        demo: accept `demo_token_<user>` and create its unknown users.
        self_registration: whether `Register` is served.
        clock: for the limits, monotonic float seconds; `wall_time` if None.
        failures_per_account: failed log-ins a minute per (account, address).
        failures_per_address: failed log-ins a minute per address.
        registrations_per_minute: accounts a minute per address.
    """

    def __init__(
        self,
        directory: Directory,
        bus: Bus,
        hasher: PasswordHasher,
        tokens: Tokens,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        *,
        demo: bool = False,
        self_registration: bool = True,
        clock: Callable[[], float] | None = None,
        failures_per_account: int = 10,
        failures_per_address: int = 100,
        registrations_per_minute: float = 10,
    ) -> None:
        super().__init__(directory, bus, hasher, tokens, wall_time, random_bytes)
        clock = clock or wall_time
        self._demo = demo
        self._self_registration = self_registration
        self._account_failures = FailureWindow(clock, failures_per_account)
        self._address_failures = FailureWindow(clock, failures_per_address)
        self._registrations = RateLimiter(
            clock, registrations_per_minute / 60, max(1.0, registrations_per_minute)
        )

    async def authenticate(self, command: LogIn, address: str) -> Authenticated:
        """Checks a log-in. A password log-in opens a grant and gets tokens.

        Args:
            address: the peer's IP address, for the limit on failures.

        Raises:
            ImError: AUTH_FAILED; TOKEN_EXPIRED; TOO_FAST after too many failures;
                FORBIDDEN for a disabled account, after right credentials only;
                UNAVAILABLE.
        """
        keys = self._failure_keys(command.user, address)
        changes = self._directory.account_changes
        if not command.token:
            self._check_failures(keys)
        try:
            if command.token:
                return await self._by_token(command, changes)
            if command.unproven:
                return await self._by_name(command, changes)
            if command.register:
                await self.register(
                    Register(command.user, command.password, command.hashed, command.platform), address
                )
            return await self._by_password(command, keys, changes)
        except ImError as error:
            if error.code is ErrorCode.AUTH_FAILED:
                # Guesses that were under way together when the limit was reached
                # all get the same answer, so none of them was worth anything.
                self._check_failures(keys)
                for window, key in keys:
                    window.record(key)
            raise

    async def still_valid(self, authenticated: Authenticated) -> bool:
        """Whether a log-in accepted a moment ago still stands; if not, a grant opened for it is revoked."""
        account = authenticated.account
        changes = authenticated.changes
        if changes is not None and changes == self._directory.account_changes:
            return True
        now = await self._directory.account(account.user)
        sid = authenticated.sid
        if (
            now is not None
            and not now.disabled
            and now.generation == account.generation
            and (not sid or await self._grants.alive(account.user, sid))
        ):
            return True
        if authenticated.refresh_token:
            await self._directory.revoke_grants(account.user, sid)
        return False

    async def may_stay(self, principal: Principal) -> bool:
        """Whether a session's log-in still stands, as far as can be told afterwards. Raises ImError."""
        account = await self._directory.account(principal.user)
        if account is None or account.disabled or account.role is not principal.role:
            return False
        return not principal.sid or await self._grants.alive(principal.user, principal.sid)

    async def register(self, command: Register, address: str) -> Registered:
        """Creates an account for whoever asks.

        Raises:
            ImError: FORBIDDEN where self-registration is off; BAD_REQUEST for a bad id or
                password; TOO_FAST; USER_EXISTS; UNAVAILABLE.
        """
        if not self._self_registration:
            raise ImError(ErrorCode.FORBIDDEN, "registration is closed on this server")
        if not self._registrations.allow(address_key(address)):
            raise ImError(ErrorCode.TOO_FAST, "too many registrations from this address")
        digest = self._hasher.digest(command.password, command.hashed)
        account = await self.create_user(command.user, digest, hashed=True)
        return Registered(account.user)

    async def refresh(self, command: RefreshTokens) -> TokensRefreshed:
        """Exchanges a refresh token; see `Grants.refresh`."""
        return await self._grants.refresh(command)

    async def renew(self, command: RenewToken) -> TokensRefreshed:
        """Exchanges an access token for a later one; see `Grants.renew`. Demo tokens are good for ever."""
        if self._demo and command.token.startswith(DEMO_TOKEN):
            known = await self._by_token(LogIn(token=command.token), None)
            return TokensRefreshed(known.account.user, known.token, "", known.expires_in)
        return await self._grants.renew(command)

    async def log_out(self, principal: Principal) -> None:
        """Revokes the session's grant and ends the grant's sessions that are in the registry.

        The session that asks answers first and closes itself, so it must have
        left the registry before.
        """
        if principal.sid:
            await self._grants.revoke(principal.user, principal.sid, "logged out")

    def authorizes(self, principal: Principal, token: str) -> bool:
        """Whether a bearer token belongs to this log-in.

        Own tokens must be of the same grant: it is known to live, because its
        sessions end with it.
        """
        if self._demo and token.startswith(DEMO_TOKEN):
            return token == DEMO_TOKEN + principal.user
        try:
            claims = self._tokens.verify_access(token)
        except ImError:
            return False
        return claims.user == principal.user and (claims.external or claims.sid == principal.sid)

    def room_claims(self, token: str) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        """The claims `rooms` and `roles` of a token that was accepted (`model.rooms.may_enter`)."""
        if self._demo and token.startswith(DEMO_TOKEN):
            return None, None
        claims = self._tokens.verify_access(token)
        return claims.rooms, claims.roles

    def user_of(self, token: str) -> str:
        """Whom a genuine access or refresh token speaks of, revoked or not; "" for any other text."""
        if self._demo and token.startswith(DEMO_TOKEN):
            return token.removeprefix(DEMO_TOKEN)
        for verify in (self._tokens.verify_access, self._tokens.verify_refresh):
            with suppress(ImError):
                return verify(token).user
        return ""

    async def create_demo_users(self) -> None:
        """Creates alice, bob, carol and dave (password = name) and the group `demo` of all four.

        Whatever exists already is left as it is.
        """
        for user in DEMO_USERS:
            if await self._directory.account(user) is None:
                try:
                    await self.create_user(user, user)
                except ImError as error:
                    # Another node of this server was faster.
                    if error.code is not ErrorCode.USER_EXISTS:
                        raise
        if await self._directory.group(DEMO_GROUP) is None:
            try:
                await self._directory.create_group(
                    DEMO_GROUP, DEMO_GROUP, DEMO_USERS[0], False, "", DEMO_USERS, self._wall_time()
                )
            except ImError as error:
                # Somebody deleted it; an id is never used twice.
                if error.code is not ErrorCode.CONFLICT:
                    raise

    async def _by_token(self, command: LogIn, changes: int | None) -> Authenticated:
        token, now = command.token, self._wall_time()
        if self._demo and token.startswith(DEMO_TOKEN):
            account = await self._demo_account(token.removeprefix(DEMO_TOKEN), command.user)
            sid, platform, expires_in = "", command.platform, self._tokens.access_seconds
        else:
            claims = self._tokens.verify_access(token)
            if command.user and command.user != claims.user:
                raise ImError(ErrorCode.AUTH_FAILED, "the token belongs to another user")
            if not claims.external and not await self._grants.alive(claims.user, claims.sid):
                raise ImError(ErrorCode.AUTH_FAILED, "the token was revoked")
            known = await self._directory.account(claims.user)
            if known is None:
                raise ImError(ErrorCode.AUTH_FAILED, "the token's user has no account here")
            account, sid = known, claims.sid
            platform, expires_in = command.platform or claims.platform, int(claims.expires_at - now)
        if account.disabled:
            raise _disabled()
        return Authenticated(account, platform, sid, token, "", max(0, expires_in), changes)

    async def _demo_account(self, user: str, named: str) -> Account:
        fault = id_fault(user)
        if fault is not None:
            raise ImError(ErrorCode.AUTH_FAILED, f"the token names nobody: the user id {fault}")
        if named and named != user:
            raise ImError(ErrorCode.AUTH_FAILED, "the token belongs to another user")
        return await self._directory.account(user) or await self._create_bare(user)

    async def _create_bare(self, user: str) -> Account:
        account = Account(user, "", created_at=self._wall_time())
        try:
            await self._directory.create_account(account)
        except ImError as error:
            if error.code is not ErrorCode.USER_EXISTS:
                raise
            # Two first log-ins at once: the other one created it.
            return await self._directory.account(user) or account
        return account

    async def _by_name(self, command: LogIn, changes: int | None) -> Authenticated:
        user = command.user
        if id_fault(user) is not None:
            raise ImError(ErrorCode.AUTH_FAILED, "this is no user id")
        account = await self._directory.account(user)
        if account is None:
            if not self._self_registration and not self._demo:
                raise ImError(ErrorCode.FORBIDDEN, "registration is closed on this server")
            account = await self._create_bare(user)
        if (account.password_hash or account.role is not Role.USER) and not self._demo:
            raise ImError(ErrorCode.AUTH_FAILED, "this user needs a password")
        if account.disabled:
            raise _disabled()
        return Authenticated(account, command.platform, "", "", "", 0, changes)

    async def _by_password(
        self, command: LogIn, keys: Sequence[tuple[FailureWindow, str]], changes: int | None
    ) -> Authenticated:
        try:
            digest = self._hasher.digest(command.password, command.hashed)
        except ImError:
            # It cannot be anybody's password.
            raise _wrong() from None
        if id_fault(command.user) is not None:
            raise _wrong()
        account = await self._directory.account(command.user)
        right = await self._hasher.verify(account.password_hash if account is not None else "", digest)
        if account is None or not right:
            raise _wrong()
        self._check_failures(keys)
        if account.disabled:
            raise _disabled()
        granted = await self._grants.open(account.user, command.platform)
        tokens = granted.tokens
        return Authenticated(
            account, command.platform, granted.sid, tokens.access, tokens.refresh, tokens.expires_in, changes
        )

    def _failure_keys(self, user: str, address: str) -> list[tuple[FailureWindow, str]]:
        where = address_key(address)
        keys = [(self._address_failures, where)]
        # A name that cannot exist needs no window of its own, and may be huge.
        if id_fault(user) is None:
            keys.append((self._account_failures, f"{where}/{user}"))
        return keys

    @staticmethod
    def _check_failures(keys: Sequence[tuple[FailureWindow, str]]) -> None:
        for window, key in keys:
            if window.blocked(key):
                raise ImError(ErrorCode.TOO_FAST, "too many failed log-ins; wait a minute")


def _wrong() -> ImError:
    return ImError(ErrorCode.AUTH_FAILED, "unknown user or wrong password")


def _disabled() -> ImError:
    return ImError(ErrorCode.FORBIDDEN, "the account is disabled")
