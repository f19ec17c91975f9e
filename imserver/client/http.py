"""What the server's HTTP answers say."""

from __future__ import annotations

from typing import Final

import msgspec

from imserver.model.errors import ErrorCode, ImError

_REFUSED: Final = {
    400: ErrorCode.BAD_REQUEST,
    401: ErrorCode.AUTH_FAILED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    429: ErrorCode.TOO_FAST,
}


def refusal(status: int, body: bytes, reason: str) -> ImError:
    """What a refusal says: the server's JSON body where there is one, else the HTTP status."""
    code, text = _REFUSED.get(status, ErrorCode.UNAVAILABLE), reason
    try:
        answer = msgspec.json.decode(body)
        text = str(answer["message"])
        code = ErrorCode(answer["data"]["error_code"])
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError):
        pass
    return ImError(code, text)
