"""Errors: `error`, and the server's own `call.error` for whatever concerns calls (002, 错误处理)."""

from __future__ import annotations

from typing import Any, Final

from imserver.model.calls import CallError, CallFault
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import WireError

SIGNALING_ERROR: Final = "SIGNALING_ERROR"

NAMES: Final[dict[ErrorCode, str]] = {
    ErrorCode.BAD_REQUEST: "BAD_REQUEST",
    ErrorCode.AUTH_FAILED: "AUTH_FAILED",
    ErrorCode.TOKEN_EXPIRED: "TOKEN_EXPIRED",
    ErrorCode.FORBIDDEN: "FORBIDDEN",
    ErrorCode.USER_NOT_FOUND: "NOT_FOUND",
    ErrorCode.USER_EXISTS: "CONFLICT",
    ErrorCode.CONVERSATION_NOT_FOUND: "NOT_FOUND",
    ErrorCode.NOT_FOUND: "NOT_FOUND",
    ErrorCode.UNKNOWN_COMMAND: "NOT_FOUND",
    ErrorCode.CONFLICT: "CONFLICT",
    ErrorCode.TOO_LARGE: "TOO_LARGE",
    ErrorCode.TOO_FAST: "TOO_FAST",
    # What this format has no word for can only be the request's fault.
    ErrorCode.VERSION: "BAD_REQUEST",
    ErrorCode.SIGNATURE: "BAD_REQUEST",
    ErrorCode.UNAVAILABLE: "UNAVAILABLE",
    ErrorCode.INTERNAL: "INTERNAL",
}
"""The model's codes as `error_code`; `details.reason` is finer."""


def error_payload(error: ImError | WireError, details: dict[str, Any]) -> dict[str, Any]:
    """The payload of `error`.

    Args:
        details: what is known of the request.
    """
    return {
        "error_code": NAMES[error.code],
        "message": error.text,
        "details": {"reason": error.code.value.lower(), **details},
    }


def call_error_payload(
    error: ImError | WireError, call_id: dict[str, Any], fault: CallFault | None
) -> dict[str, Any]:
    """The payload of `call.error`.

    Args:
        call_id: {"call_id": …}, or {} where none could be read.
        fault: what the codec found, for a WireError.
    """
    if isinstance(error, CallError):
        fault = error.fault
    return {
        **call_id,
        "error_code": SIGNALING_ERROR,
        "error_message": error.text,
        "details": {"reason": error.code.value.lower() if fault is None else fault.value},
    }


def error_from_payload(payload: dict[str, Any]) -> ImError:
    """Reads the payload of `error` or `call.error` (the client's side)."""
    text = payload["message"] if "message" in payload else payload["error_message"]
    name = payload["details"]["reason"].upper()
    if name not in ErrorCode.__members__:
        name = payload["error_code"]
    return ImError(ErrorCode(name), text)
