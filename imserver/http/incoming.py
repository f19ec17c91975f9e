"""Reads what a REST request says: path, query, body, token. Everything in it is the peer's."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from twisted.web.server import Request

from imserver.http.answers import Refused
from imserver.protocols.doors import host_of
from imserver.services.limits import address_key

MAX_FIELDS = 16
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


def segments(path: bytes) -> list[str] | None:
    """The parts of a path, decoded one by one, so that an encoded slash belongs to its part.

    None for what is not UTF-8.
    """
    try:
        return [unquote_to_bytes(part).decode() for part in path[1:].split(b"/")]
    except UnicodeDecodeError:
        return None


def bearer(request: Request) -> str:
    """The token of the Authorization header; "" if there is none.

    Raises:
        Refused: 401 for a header that holds something else.
    """
    values = request.requestHeaders.getRawHeaders(b"authorization")
    if not values:
        return ""
    scheme, _, token = values[0].strip().partition(b" ")
    token = token.strip()
    if len(values) > 1 or scheme.lower() != b"bearer" or not token or not token.isascii():
        raise Refused(401, "the Authorization header must be: Bearer TOKEN")
    return token.decode()


def query_of(request: Request, kind: type[Any] | None) -> Any:
    """The query as this struct; None where the route has no query.

    Raises:
        Refused: 400.
    """
    text = request.uri.partition(b"?")[2]
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise Refused(400, "the query cannot be read") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Refused(400, "a query parameter stands there twice")
    if kind is None:
        if fields:
            raise Refused(400, "there are no query parameters here")
        return None
    try:
        return msgspec.convert(fields, kind, strict=False)
    except _FAULTS as error:
        raise Refused(400, f"query: {_reason(error)}") from None


def body_of(request: Request, kind: type[Any] | None, optional: bool) -> Any:
    """The body as this struct; None where the route has none.

    Args:
        optional: an empty body stands for an empty object.

    Raises:
        Refused: 400, 415.
    """
    if kind is None:
        return None
    data: bytes = request.content.read()  # type: ignore[union-attr]
    if not data and optional:
        return kind()
    types = request.requestHeaders.getRawHeaders(b"content-type") or [b""]
    if len(types) != 1 or types[0].partition(b";")[0].strip().lower() != b"application/json":
        raise Refused(415, "the body must be application/json")
    if request.requestHeaders.hasHeader(b"content-encoding"):
        raise Refused(415, "the body must not be encoded")
    try:
        body = msgspec.json.decode(data, type=kind)
        msgspec.json.encode(body)  # finds surrogates without a partner
    except _FAULTS as error:
        raise Refused(400, f"body: {_reason(error)}") from None
    return body


def _reason(error: Exception) -> str:
    """What msgspec says of a fault, without anything that the peer wrote."""
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return "is not JSON in UTF-8"


def request_id(request: Request) -> str:
    """The header X-Request-Id; "" if there is none, or several."""
    values = request.requestHeaders.getRawHeaders(b"x-request-id") or []
    return values[0].decode("latin-1") if len(values) == 1 else ""


def peer(request: Request) -> str:
    """The peer's address, for the limits. X-Forwarded-For is not believed: anybody may write it."""
    return address_key(host_of(request.getClientAddress()))
