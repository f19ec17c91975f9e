"""How HTTP answers look: one JSON shape for everything, and the headers that keep browsers from mischief.

``{"success": bool, "code": int, "message": str, "data": {…}}``; `code` is the HTTP status.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from twisted.web.server import Request

from imserver.model.errors import ErrorCode, ImError
from imserver.wire.jsonline.errors import NUMBERS

JSON: Final = b"application/json"
CHALLENGE: Final = b'Bearer realm="imserver"'
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)

STATUS: Final[dict[ErrorCode, int]] = {code: int(status) for code, (status, _) in NUMBERS.items()}
"""The HTTP status of each refusal."""


class Refused(Exception):
    """A request that HTTP itself gives reason to refuse.

    Args:
        status: the HTTP status.
        message: one sentence for the person at the other end.
        headers: what the status asks for, e.g. `allow`.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Failure(msgspec.Struct, frozen=True):
    """What is told of a refusal beside the sentence: `error` is the name of the model's code."""

    error: str
    retryable: bool


def envelope(status: int, message: str, data: Any = None) -> bytes:
    """The body of an answer."""
    return msgspec.json.encode(
        {"success": status < 400, "code": status, "message": message, "data": {} if data is None else data}
    )


def head(request: Request, status: int, content_type: bytes = JSON) -> None:
    """Sets status and headers."""
    # Twisted has no words for some, 426 and 429 among them.
    request.setResponseCode(status, HTTPStatus(status).phrase.encode())
    headers = request.responseHeaders
    headers.removeHeader(b"server")
    headers.setRawHeaders(b"content-type", [content_type])
    for name, value in _HEADERS:
        headers.setRawHeaders(name, [value])
    if status == 401:
        headers.setRawHeaders(b"www-authenticate", [CHALLENGE])


def json_answer(request: Request, status: int, message: str, data: Any = None) -> bytes:
    """Sets the head of a JSON answer; returns its body."""
    head(request, status)
    return envelope(status, message, data)


def refusal(request: Request, error: ImError | Refused, retry_after: int = 1) -> bytes:
    """The same for a refusal.

    Args:
        retry_after: seconds, told where the same request may succeed later.
    """
    if isinstance(error, Refused):
        body = json_answer(request, error.status, error.message)
        for name, value in error.headers.items():
            request.responseHeaders.setRawHeaders(name, [value])
        return body
    status = STATUS[error.code]
    if status in (429, 503):
        request.responseHeaders.setRawHeaders(b"retry-after", [b"%d" % retry_after])
    return json_answer(request, status, error.text, Failure(error.code.value, error.retryable))
