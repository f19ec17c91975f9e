"""Grants: the log-ins of which tokens were issued, and the rotation of refresh tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from msgspec import Struct
from twisted.logger import Logger

from imserver.model.accounts import (
    Grant,
    KickReason,
    RefreshTokens,
    RenewToken,
    SessionKicked,
    TokensRefreshed,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.services.ports import Bus, Directory
from imserver.services.tokens import AccessClaims, IssuedTokens, RefreshClaims, Tokens

RETRY_SECONDS = 60.0


class Granted(Struct, frozen=True, gc=False):
    """A new grant's id and its first tokens."""

    sid: str
    tokens: IssuedTokens


class Grants:
    """Opens, checks, rotates and revokes grants.

    Args:
        directory: where they are kept.
        bus: ends the sessions of a revoked one.
        tokens: mints and verifies.
        wall_time: float seconds since the epoch.
        random_bytes: source of ids.
    """

    log = Logger()

    def __init__(
        self,
        directory: Directory,
        bus: Bus,
        tokens: Tokens,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._directory = directory
        self._bus = bus
        self._tokens = tokens
        self._wall_time = wall_time
        self._random_bytes = random_bytes

    async def open(
        self,
        user: str,
        platform: str,
        rooms: Sequence[str] | None = None,
        roles: Sequence[str] | None = None,
    ) -> Granted:
        """Stores a new grant and mints its tokens; `rooms`, `roles`: the claims of these names."""
        sid, refresh_id = self._random_bytes(16).hex(), self._tokens.new_refresh_id()
        now = self._wall_time()
        tokens = self._tokens.issue(user, platform, sid, refresh_id, now, rooms, roles)
        await self._directory.create_grant(
            Grant(
                sid=sid,
                user=user,
                platform=platform,
                refresh_id=refresh_id,
                created_at=now,
                expires_at=tokens.refresh_expires_at,
            )
        )
        return Granted(sid, tokens)

    async def alive(self, user: str, sid: str) -> bool:
        """Whether the grant exists, is this user's and is not revoked."""
        grant = await self._directory.grant(sid)
        return grant is not None and grant.user == user and not grant.revoked

    async def revoke(self, user: str, sid: str, text: str) -> None:
        """Revokes one grant of a user and ends its sessions."""
        await self._directory.revoke_grants(user, sid)
        self._bus.kick(user, SessionKicked(KickReason.ACCOUNT, text), sid=sid)

    async def revoke_all(self, user: str, text: str) -> None:
        """Revokes all grants of a user and ends all sessions, those without a grant too."""
        await self._directory.revoke_grants(user)
        self._bus.kick(user, SessionKicked(KickReason.ACCOUNT, text))

    async def refresh(self, command: RefreshTokens) -> TokensRefreshed:
        """Exchanges a refresh token.

        A retry with the same request id within 60 s gets the very first answer.
        Any other second use means that somebody else has the token, so the
        grant is revoked and its sessions end.

        Raises:
            ImError: AUTH_FAILED; TOKEN_EXPIRED; FORBIDDEN for a disabled account.
        """
        claims = self._tokens.verify_refresh(command.refresh_token)
        grant = await self._live(claims)
        await self._check_account(claims.user)
        request_digest = _digest(command.request_id)
        if grant.refresh_id == claims.refresh_id:
            refresh_id = self._tokens.next_refresh_id(claims, command.request_id)
            now = self._wall_time()
            tokens = self._tokens.issue(
                claims.user, grant.platform, claims.sid, refresh_id, now, claims.rooms, claims.roles
            )
            rotated = await self._directory.rotate_grant(
                claims.sid, claims.refresh_id, refresh_id, request_digest, now, tokens.refresh_expires_at
            )
            if rotated is not None:
                return _answer(claims.user, tokens)
            # Another request was faster, perhaps this one's own retry.
            grant = await self._live(claims)
        if (
            grant.previous_id == claims.refresh_id
            and request_digest
            and grant.request_digest == request_digest
            and 0 <= self._wall_time() - grant.rotated_at <= RETRY_SECONDS
        ):
            tokens = self._tokens.issue(
                claims.user,
                grant.platform,
                claims.sid,
                grant.refresh_id,
                grant.rotated_at,
                claims.rooms,
                claims.roles,
            )
            return _answer(claims.user, tokens)
        self.log.warn("a refresh token of {user} was used twice; its log-in is revoked", user=claims.user)
        await self.revoke(claims.user, claims.sid, "a refresh token was used twice")
        raise _refused()

    async def renew(self, command: RenewToken) -> TokensRefreshed:
        """A new access token for one that is still good; the refresh token stays as it is.

        The log-in ends when its refresh token does, however often this is asked.

        Raises:
            ImError: AUTH_FAILED, for tokens of others, too; TOKEN_EXPIRED; FORBIDDEN for a
                disabled account.
        """
        claims = self._tokens.verify_access(command.token)
        if claims.external:
            raise ImError(ErrorCode.AUTH_FAILED, "only its issuer can renew this token")
        grant = await self._live(claims)
        await self._check_account(claims.user)
        now = self._wall_time()
        if grant.expires_at <= now:
            raise ImError(ErrorCode.TOKEN_EXPIRED, "the log-in has expired")
        tokens = self._tokens.issue(
            claims.user, grant.platform, claims.sid, grant.refresh_id, now, claims.rooms, claims.roles
        )
        return TokensRefreshed(claims.user, tokens.access, "", tokens.expires_in)

    async def _check_account(self, user: str) -> None:
        account = await self._directory.account(user)
        if account is None:
            raise _refused()
        if account.disabled:
            raise ImError(ErrorCode.FORBIDDEN, "the account is disabled")

    async def _live(self, claims: RefreshClaims | AccessClaims) -> Grant:
        grant = await self._directory.grant(claims.sid)
        if grant is None or grant.user != claims.user or grant.revoked:
            raise _refused()
        return grant


def _answer(user: str, tokens: IssuedTokens) -> TokensRefreshed:
    return TokensRefreshed(user, tokens.access, tokens.refresh, tokens.expires_in)


def _digest(request_id: str) -> str:
    if not request_id:
        return ""
    return hashlib.sha256(request_id.encode("utf-8", "surrogatepass")).hexdigest()


def _refused() -> ImError:
    return ImError(ErrorCode.AUTH_FAILED, "the token is not valid")
