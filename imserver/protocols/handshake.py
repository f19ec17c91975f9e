"""WebSocket handshakes: what formats may read of them, and how they are refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from twisted.web.http import RESPONSES

from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import Upgrade

_STATUS: Final = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.AUTH_FAILED: 401,
    ErrorCode.TOKEN_EXPIRED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.TOO_FAST: 429,
    ErrorCode.UNAVAILABLE: 503,
}


def upgrade_of(request: Any) -> Upgrade:
    """What an Autobahn ConnectionRequest says to a format."""
    return Upgrade(
        query=request.params,
        authorization=request.headers.get("authorization", ""),
        subprotocols=tuple(request.protocols),
    )


def http_status(error: ImError) -> int:
    """The HTTP status of a log-in that was refused within the handshake."""
    return _STATUS.get(error.code, 500)


def http_refusal(
    status: int, reason: str, headers: Iterable[tuple[str, str]] = (), error: ImError | None = None
) -> bytes:
    """The whole answer that refuses a handshake: a JSON body; nothing of the request is repeated in the head.

    Args:
        error: where the format refused it; its code goes into the body.
    """
    phrase = RESPONSES.get(status, b"Refused").decode("ascii")
    data = {} if error is None else {"error_code": error.code.value}
    body = msgspec.json.encode({"success": False, "code": status, "message": reason, "data": data})
    head = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    if status == 401:
        head.append("WWW-Authenticate: Bearer")
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join(head).encode("latin-1", "replace") + b"\r\n\r\n" + body
