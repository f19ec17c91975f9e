"""What tokens say."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class AccessClaims(Struct, frozen=True, gc=False):
    """What a valid access token says; a foreign one is `external` and without sid.

    Attributes:
        rooms / roles: what it restricts its bearer to in meeting rooms (`model.rooms.may_enter`).
    """

    user: str
    sid: str
    platform: str
    expires_at: float
    external: bool
    rooms: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None


class RefreshClaims(Struct, frozen=True, gc=False):
    """What a valid refresh token says; `kid` names the key that signed it."""

    user: str
    sid: str
    platform: str
    refresh_id: str
    kid: str
    rooms: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None


class IssuedTokens(Struct, frozen=True, gc=False):
    """A pair of tokens; seconds the access token lives; when the refresh token expires (float seconds)."""

    access: str
    refresh: str
    expires_in: int
    refresh_expires_at: float


def names_of(value: Any) -> tuple[str, ...] | None:
    """A claim that lists names; None = there is no such claim.

    One of another form lists none: a token is never good for more than it says.
    """
    if value is None:
        return None
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()
