"""Checks that types alone do not express: versions, ids, numbers, nesting, bearer tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import MAX_JSON_INTEGER
from imserver.wire.depth import MAX_DEPTH, check_depth
from imserver.wire.jsonline.signing import validate_signature

__all__ = [
    "LAST_SECOND",
    "MAX_DEPTH",
    "MAX_ID_BYTES",
    "MAX_TRACE_BYTES",
    "SUPPORTED_VERSIONS",
    "VERSION",
    "bad",
    "bearer_token",
    "check_depth",
    "check_number",
    "check_timestamp",
    "check_version",
    "id_text",
    "is_password_hash",
    "supports",
    "validate_signature",
    "validate_version",
]

VERSION: Final = "1.0"
"""The version of the protocol that is spoken here."""
SUPPORTED_VERSIONS: Final = ("1.0", "1.0")
"""Lowest and highest, for `headers.supported_versions`. Other minor numbers of 1 only add fields."""

MAX_ID_BYTES: Final = 255
MAX_TRACE_BYTES: Final = 1024
LAST_SECOND: Final = 253402300799
"""9999-12-31T23:59:59Z: a later timestamp is not in seconds."""

_VERSION = re.compile(r"1(\.[0-9]{1,9})?", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


def bad(text: str) -> ImError:
    """A BAD_REQUEST, to be raised."""
    return ImError(ErrorCode.BAD_REQUEST, text)


def validate_version(headers: Mapping[str, Any] | None) -> bool:
    """Whether `headers.version` (none: fine) is one that is spoken here (§4)."""
    version = headers.get("version") if headers else None
    return version is None or (type(version) in (str, int, float) and supports(version))


def supports(version: str | int | float) -> bool:
    """Whether a version is spoken here: "1", "1.N", or the numbers 1 and 1.0."""
    return version == 1 if not isinstance(version, str) else _VERSION.fullmatch(version) is not None


def check_version(version: str | int | float) -> None:
    """Raises ImError VERSION unless the version is supported."""
    if not supports(version):
        lowest, highest = SUPPORTED_VERSIONS
        raise ImError(
            ErrorCode.VERSION,
            f"this version of the protocol is not supported: use {lowest} to {highest}",
        )


def check_timestamp(timestamp: int | float) -> float:
    """A client's timestamp as float seconds; 0.0 for one that cannot be in seconds.

    Raises:
        ImError: BAD_REQUEST unless it is greater than 0 and at most 2^53 - 1.
    """
    if not 0 < timestamp <= MAX_JSON_INTEGER:
        raise bad("timestamp must be greater than 0")
    return float(timestamp) if timestamp <= LAST_SECOND else 0.0


def id_text(value: str | int, what: str) -> str:
    """An id as a string.

    Raises:
        ImError: BAD_REQUEST for a negative integer or one above 2^53 - 1.
    """
    if isinstance(value, str):
        return value
    if not 0 <= value <= MAX_JSON_INTEGER:
        raise bad(f"{what} is out of range")
    return str(value)


def check_number(value: int, what: str) -> int:
    """A number within what JSON clients can represent.

    Raises:
        ImError: BAD_REQUEST if it is negative or above 2^53 - 1.
    """
    if not 0 <= value <= MAX_JSON_INTEGER:
        raise bad(f"{what} is out of range")
    return value


def bearer_token(header: str) -> str:
    """The token in an Authorization header (§3).

    Raises:
        ImError: AUTH_FAILED unless it is "Bearer" and a token.
    """
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise ImError(ErrorCode.AUTH_FAILED, "headers.Authorization must be a bearer token")
    return token


def is_password_hash(password: str) -> bool:
    """Whether a password is the SHA-256 in hex instead of the plain one (CONTRACT, Accounts)."""
    return _HASH.fullmatch(password) is not None
