"""Values that payloads share, and the envelope."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

Seconds = Annotated[int, Meta(ge=0, description="Unix time in whole seconds; 0 = never")]
Seq = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Id = Annotated[str, Meta(min_length=1, max_length=255)] | Annotated[int, Meta(ge=0, le=2**53 - 1)]
Text = Annotated[str, Meta(min_length=1)]
Content = Annotated[
    dict[str, Any],
    Meta(
        description="an object with a type; text has its text in `text`",
        extra_json_schema={
            "required": ["type"],
            "properties": {"type": {"type": "string", "minLength": 1}, "text": {"type": "string"}},
        },
    ),
]


class Headers(Struct, omit_defaults=True):
    """`headers`; none of them is needed."""

    version: str | UnsetType = UNSET
    authorization: Annotated[str, Meta(pattern="^Bearer ")] | UnsetType = field(
        default=UNSET, name="Authorization"
    )
    trace: Any = None
    encoding: Literal["zlib"] | UnsetType = UNSET
    accept_encoding: Literal["zlib", ""] | UnsetType = UNSET
    supported_versions: tuple[str, str] | UnsetType = UNSET


class Request(Struct):
    """A line of a client."""

    command: Text
    id: Annotated[str, Meta(max_length=255)] | int | UnsetType = UNSET
    type: Literal["request", "event"] | UnsetType = UNSET
    timestamp: Annotated[int, Meta(gt=0)] | Annotated[float, Meta(gt=0)] | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET
    payload: dict[str, Any] | UnsetType = UNSET


class Response(Struct):
    """A line of the server that answers one of the client's, under its id."""

    id: str | int | None
    type: Literal["response"]
    timestamp: Seconds
    command: Text
    payload: dict[str, Any]
    headers: Headers | UnsetType = UNSET


class Event(Struct):
    """A line of the server that answers nothing."""

    id: str | int
    type: Literal["event"]
    timestamp: Seconds
    command: Text
    payload: dict[str, Any]
    headers: Headers | UnsetType = UNSET


class Error(Struct):
    """The payload of a response that is no success, of message/ack and of control/error."""

    status: Literal[400, 401, 403, 404, 409, 413, 426, 429, 500, 503]
    error_code: Annotated[int, Meta(ge=1001, le=1012)]
    error: Text
    error_message: str
    retryable: bool
    advice: str | UnsetType = UNSET
    server_time: Seconds | UnsetType = UNSET
    retry_after: (
        Annotated[float, Meta(gt=0, description="of a server that goes down: seconds to wait")] | UnsetType
    ) = UNSET


class Sealed(Struct, forbid_unknown_fields=True):
    """An encrypted payload."""

    enc: Literal["aes-256-gcm"]
    kid: Text
    nonce: Annotated[str, Meta(min_length=16, max_length=16)]
    data: Text


class Ok(Struct):
    """A success without anything to tell."""

    status: Literal[200]


class Empty(Struct):
    """No payload is needed."""
