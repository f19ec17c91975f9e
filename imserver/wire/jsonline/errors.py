"""Status codes, error codes and the error object of document 004 (§1.2, §6)."""

from __future__ import annotations

import enum
from typing import Any, Final

from imserver.model.errors import RETRYABLE, ImError
from imserver.model.errors import ErrorCode as ModelCode
from imserver.wire.base import WireError


class StatusCode(enum.IntEnum):
    """`payload.status`, close to HTTP's meaning."""

    SUCCESS = 200
    ACCEPTED = 202
    BAD_REQUEST = 400
    UNAUTHORIZED = 401
    FORBIDDEN = 403
    NOT_FOUND = 404
    CONFLICT = 409
    TOO_LARGE = 413
    UPGRADE_REQUIRED = 426
    TOO_FAST = 429
    INTERNAL = 500
    UNAVAILABLE = 503


class ErrorCode(enum.IntEnum):
    """`payload.error_code`."""

    ERR_INVALID_TOKEN = 1001
    ERR_VERSION = 1002
    ERR_SIGNATURE = 1003
    ERR_BAD_REQUEST = 1004
    ERR_TOO_FAST = 1005
    ERR_USER_EXISTS = 1006
    ERR_NOT_FOUND = 1007
    ERR_FORBIDDEN = 1008
    ERR_TOO_LARGE = 1009
    ERR_CONFLICT = 1010
    ERR_INTERNAL = 1011
    ERR_UNAVAILABLE = 1012


NUMBERS: Final[dict[ModelCode, tuple[StatusCode, ErrorCode]]] = {
    ModelCode.BAD_REQUEST: (StatusCode.BAD_REQUEST, ErrorCode.ERR_BAD_REQUEST),
    ModelCode.AUTH_FAILED: (StatusCode.UNAUTHORIZED, ErrorCode.ERR_INVALID_TOKEN),
    ModelCode.TOKEN_EXPIRED: (StatusCode.UNAUTHORIZED, ErrorCode.ERR_INVALID_TOKEN),
    ModelCode.FORBIDDEN: (StatusCode.FORBIDDEN, ErrorCode.ERR_FORBIDDEN),
    ModelCode.NOT_FOUND: (StatusCode.NOT_FOUND, ErrorCode.ERR_NOT_FOUND),
    ModelCode.USER_NOT_FOUND: (StatusCode.NOT_FOUND, ErrorCode.ERR_NOT_FOUND),
    ModelCode.CONFLICT: (StatusCode.CONFLICT, ErrorCode.ERR_CONFLICT),
    ModelCode.USER_EXISTS: (StatusCode.CONFLICT, ErrorCode.ERR_USER_EXISTS),
    ModelCode.CONVERSATION_NOT_FOUND: (StatusCode.NOT_FOUND, ErrorCode.ERR_NOT_FOUND),
    ModelCode.UNKNOWN_COMMAND: (StatusCode.NOT_FOUND, ErrorCode.ERR_NOT_FOUND),
    ModelCode.TOO_LARGE: (StatusCode.TOO_LARGE, ErrorCode.ERR_TOO_LARGE),
    ModelCode.TOO_FAST: (StatusCode.TOO_FAST, ErrorCode.ERR_TOO_FAST),
    ModelCode.VERSION: (StatusCode.UPGRADE_REQUIRED, ErrorCode.ERR_VERSION),
    ModelCode.SIGNATURE: (StatusCode.UNAUTHORIZED, ErrorCode.ERR_SIGNATURE),
    ModelCode.UNAVAILABLE: (StatusCode.UNAVAILABLE, ErrorCode.ERR_UNAVAILABLE),
    ModelCode.INTERNAL: (StatusCode.INTERNAL, ErrorCode.ERR_INTERNAL),
}
"""The model's codes in this format's numbers.

Where several codes share a number, the first one here is what it is read as.
"""

_BY_NUMBER: Final[dict[tuple[int, int], ModelCode]] = {}
_BY_STATUS: Final[dict[int, ModelCode]] = {}
for _code, (_status, _number) in NUMBERS.items():
    _BY_NUMBER.setdefault((_status, _number), _code)
    _BY_STATUS.setdefault(_status, _code)


class ProtocolError(Exception):
    """An error as this format tells it.

    Args:
        status: `payload.status`.
        message: `payload.error_message`, one sentence.
        code: `payload.error_code`; None = the usual one of this status.
        name: the model's name of the error (`payload.error`), finer than the numbers.
        retryable: whether the same request may succeed later; None = what the status implies.
    """

    def __init__(
        self,
        status: StatusCode,
        message: str,
        *,
        code: ErrorCode | None = None,
        name: str = "",
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        usual = _BY_STATUS.get(status, ModelCode.INTERNAL)
        self.code = NUMBERS[usual][1] if code is None else code
        self.name = name or _BY_NUMBER.get((status, self.code), usual).value
        self.retryable = self.name in RETRYABLE if retryable is None else retryable

    @classmethod
    def of(cls, error: ImError | WireError) -> ProtocolError:
        """The same refusal in this format's numbers."""
        status, code = NUMBERS[error.code]
        return cls(status, error.text, code=code, name=error.code.value)

    def to_dict(self) -> dict[str, Any]:
        """The payload of an error answer."""
        return {
            "status": self.status.value,
            "error_code": self.code.value,
            "error": self.name,
            "error_message": self.message,
            "retryable": self.retryable,
        }


def error_from_payload(payload: dict[str, Any]) -> ImError:
    """Reads an error payload back (the client's side); an unknown one becomes INTERNAL."""
    text, name = payload.get("error_message"), payload.get("error")
    status, number = payload.get("status", 0), payload.get("error_code", 0)
    code = _BY_NUMBER.get((status, number)) or _BY_STATUS.get(status, ModelCode.INTERNAL)
    if isinstance(name, str) and name in ModelCode.__members__:
        finer = ModelCode(name)
        if NUMBERS[finer] == (status, number):
            code = finer
    return ImError(code, text if isinstance(text, str) else "")
