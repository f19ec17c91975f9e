"""Tokens: JSON Web Tokens for access and refresh.

Own tokens are HS256 with the claims user_id, sub (the same), platform, iat, exp,
sid (the grant) and typ ("access" or "refresh"; the latter has a jti). Foreign
access tokens (RS256, EdDSA) need exp and one of user_id and sub.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from collections.abc import Callable, Sequence
from typing import Any

import jwt
import msgspec
from msgspec import Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import MAX_JSON_INTEGER, id_fault
from imserver.services.claims import AccessClaims, IssuedTokens, RefreshClaims, names_of
from imserver.services.keys import Key, KeyRing, KeyRingError, external_key, load_key_ring

__all__ = [
    "AccessClaims",
    "IssuedTokens",
    "Key",
    "KeyRing",
    "KeyRingError",
    "RefreshClaims",
    "Tokens",
    "external_key",
    "load_key_ring",
]

MAX_TOKEN_BYTES = 8 * 1024
CACHED_TOKENS = 65_536
CLOCK_LEEWAY = 60.0
"""Seconds a token may come from the future: issuers' clocks differ, and ours may be set back."""


class _Header(Struct):
    alg: str
    kid: str = ""


class _Claims(Struct):
    exp: float
    user_id: str | int | None = None
    sub: str | int | None = None
    platform: str | int | None = None
    iat: float | None = None
    nbf: float | None = None
    sid: str = ""
    typ: str = ""
    jti: str = ""
    rooms: Any = None
    roles: Any = None


class _ForeignClaims(Struct):
    exp: float
    user_id: str | int | None = None
    sub: str | int | None = None
    platform: Any = None
    iat: float | None = None
    nbf: float | None = None
    typ: str = "access"
    rooms: Any = None
    roles: Any = None


_header_decoder = msgspec.json.Decoder(_Header)
_claims_decoder = msgspec.json.Decoder(_Claims)
_foreign_decoder = msgspec.json.Decoder(_ForeignClaims)
_jws = jwt.PyJWS()


class Tokens:
    """Issues and verifies tokens.

    Args:
        key_ring: the keys.
        wall_time: float seconds since the epoch.
        random_bytes: source of ids.
        access_seconds / refresh_seconds: lifetimes.
    """

    def __init__(
        self,
        key_ring: KeyRing,
        wall_time: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        access_seconds: int = 3600,
        refresh_seconds: int = 30 * 86400,
    ) -> None:
        self.key_ring = key_ring
        self.access_seconds = access_seconds
        self.refresh_seconds = refresh_seconds
        self._wall_time = wall_time
        self._random_bytes = random_bytes
        self._cache: dict[bytes, AccessClaims] = {}
        self._cache_version = key_ring.version

    def new_refresh_id(self) -> str:
        """An unguessable id for a refresh token."""
        return self._random_bytes(16).hex()

    def next_refresh_id(self, claims: RefreshClaims, request_id: str) -> str:
        """The id of the refresh token that follows; for one request id always the same one."""
        if not request_id:
            return self.new_refresh_id()
        key = self.key_ring.find(claims.kid, "HS256")
        if key is None:
            raise _refused()
        text = f"{claims.refresh_id}|{request_id}"
        return hmac.digest(key.material, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]

    def issue(
        self,
        user: str,
        platform: str,
        sid: str,
        refresh_id: str,
        at: float,
        rooms: Sequence[str] | None = None,
        roles: Sequence[str] | None = None,
    ) -> IssuedTokens:
        """Mints both tokens as of a moment (float seconds); the same arguments give the same bytes."""
        key = self.key_ring.signing_key(at)
        issued_at = int(at)
        claims: dict[str, Any] = {
            "user_id": user,
            "sub": user,
            "platform": platform,
            "iat": issued_at,
            "exp": issued_at + self.access_seconds,
            "sid": sid,
            "typ": "access",
        }
        claims |= {
            name: list(value) for name, value in (("rooms", rooms), ("roles", roles)) if value is not None
        }
        headers = {"kid": key.kid}
        access = jwt.encode(claims, key.material, key.algorithm, headers)
        expires_at = issued_at + self.refresh_seconds
        claims |= {"exp": expires_at, "typ": "refresh", "jti": refresh_id}
        refresh = jwt.encode(claims, key.material, key.algorithm, headers)
        return IssuedTokens(access, refresh, self.access_seconds, float(expires_at))

    def verify_access(self, token: str) -> AccessClaims:
        """Checks an access token.

        Raises:
            ImError: TOKEN_EXPIRED for a genuine one that is over, else AUTH_FAILED.
        """
        if self._cache_version != self.key_ring.version:
            self._cache.clear()
            self._cache_version = self.key_ring.version
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise _refused()
        digest = hashlib.sha256(token.encode()).digest()
        known = self._cache.get(digest)
        if known is not None:
            if known.expires_at > self._wall_time():
                return known
            del self._cache[digest]
            raise _expired()
        key, payload = self._open(token)
        claims = self._access_claims(key, payload)
        if len(self._cache) >= CACHED_TOKENS:
            del self._cache[next(iter(self._cache))]
        self._cache[digest] = claims
        return claims

    def verify_refresh(self, token: str) -> RefreshClaims:
        """Checks a refresh token.

        Raises:
            ImError: TOKEN_EXPIRED for a genuine one that is over, else AUTH_FAILED.
        """
        key, payload = self._open(token)
        claims = _decode(_claims_decoder, payload)
        if key.external or claims.typ != "refresh" or not claims.jti or not claims.sid:
            raise _refused()
        user = _user(claims.user_id, claims.sub)
        self._check_times(claims)
        return RefreshClaims(
            user,
            claims.sid,
            _text(claims.platform),
            claims.jti,
            key.kid,
            names_of(claims.rooms),
            names_of(claims.roles),
        )

    def _open(self, token: str) -> tuple[Key, bytes]:
        """The key that signed a token, and its payload."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise _refused()
        try:
            first = token.partition(".")[0]
            header = _header_decoder.decode(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
            key = self.key_ring.find(header.kid, header.alg)
            if key is None:
                raise _refused()
            opened = _jws.decode_complete(token, key.material, algorithms=[key.algorithm])
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            # The whole token is the peer's: whatever a parser stumbles over is one refusal.
            raise _refused() from None
        return key, opened["payload"]

    def _access_claims(self, key: Key, payload: bytes) -> AccessClaims:
        if key.external:
            foreign = _decode(_foreign_decoder, payload)
            if foreign.typ != "access":
                raise _refused()
            user = _user(foreign.user_id, foreign.sub)
            self._check_times(foreign)
            return AccessClaims(
                user,
                "",
                _text(foreign.platform),
                foreign.exp,
                True,
                names_of(foreign.rooms),
                names_of(foreign.roles),
            )
        claims = _decode(_claims_decoder, payload)
        if claims.typ != "access" or not claims.sid:
            raise _refused()
        user = _user(claims.user_id, claims.sub)
        self._check_times(claims)
        return AccessClaims(
            user,
            claims.sid,
            _text(claims.platform),
            claims.exp,
            False,
            names_of(claims.rooms),
            names_of(claims.roles),
        )

    def _check_times(self, claims: _Claims | _ForeignClaims) -> None:
        now = self._wall_time()
        for begin in (claims.iat, claims.nbf):
            if begin is not None and not begin <= now + CLOCK_LEEWAY:
                raise _refused()
        if not math.isfinite(claims.exp):
            raise _refused()
        if claims.exp <= now:
            raise _expired()


def _decode(decoder: msgspec.json.Decoder[Any], payload: bytes) -> Any:
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _refused() from None


def _user(user_id: str | int | None, sub: str | int | None) -> str:
    """The user a token speaks of: user_id, else sub; issuers that count their users write integers."""
    value = user_id if user_id is not None else sub
    if isinstance(value, int):
        if not 0 <= value <= MAX_JSON_INTEGER:
            raise _refused()
        value = str(value)
    if value is None or id_fault(value) is not None:
        raise _refused()
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _refused() -> ImError:
    return ImError(ErrorCode.AUTH_FAILED, "the token is not valid")


def _expired() -> ImError:
    return ImError(ErrorCode.TOKEN_EXPIRED, "the token has expired")
