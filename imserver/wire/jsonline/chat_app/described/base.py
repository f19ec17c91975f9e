"""The envelope of the dialect chat-app, and values that its payloads share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from imserver.wire.jsonline.described.base import Seconds, Text

Failure = Literal[400, 401, 403, 404, 409, 413, 426, 429, 500, 503]
ErrorNumber = Annotated[int, Meta(ge=1001, le=1012)]


class ClientHeaders(Struct):
    """`headers` of a client."""

    version: Literal["1.0"] | UnsetType = UNSET


class ServerHeaders(Struct):
    """`headers` of the server."""

    version: Literal["1.0"]
    trace: Any = UNSET
    supported_versions: tuple[str, str] | UnsetType = UNSET


class Request(Struct):
    """A line of a client."""

    id: Annotated[str, Meta(max_length=255)]
    type: Literal["request", "event"]
    command: Text
    payload: dict[str, Any]
    timestamp: Annotated[int, Meta(gt=0)] | UnsetType = UNSET
    headers: ClientHeaders | UnsetType = UNSET


class Response(Struct):
    """A line of the server that answers one of the client's, under its id."""

    id: str
    type: Literal["response"]
    timestamp: Seconds
    command: Text
    headers: ServerHeaders
    payload: dict[str, Any]


class Event(Struct):
    """A line of the server that answers nothing."""

    id: Text
    type: Literal["event"]
    timestamp: Seconds
    command: Text
    headers: ServerHeaders
    payload: dict[str, Any]


class Error(Struct):
    """The payload of an answer that is no success, and of control/error. It repeats what it is about."""

    status: Failure
    error_code: ErrorNumber
    error: Text
    error_message: str
    retryable: bool
    advice: str | UnsetType = UNSET
    message_id: Literal[""] | UnsetType = UNSET
    room_id: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    call_id: str | UnsetType = UNSET
    request_id: int | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    sessions: list[Any] | UnsetType = UNSET
    file_name: str | UnsetType = UNSET
    file_size: int | UnsetType = UNSET


class AccountError(Struct):
    """The payload of an answer to auth/login, auth/register or auth/refresh that is no success."""

    status: Failure
    token: Literal[""]
    user_id: Literal[""]
    expires_in: Literal[0]
    error_code: ErrorNumber
    error_message: str


class Ok(Struct):
    """A success without anything to tell."""

    status: Literal[200]


class Empty(Struct):
    """No payload is needed."""
