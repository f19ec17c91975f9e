"""What an answer of the server must know of its request, and what the headers of a request say."""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from imserver.model.ids import MAX_JSON_INTEGER
from imserver.wire.jsonline.commands import Command, is_room
from imserver.wire.jsonline.messages import Headers
from imserver.wire.jsonline.validator import (
    MAX_ID_BYTES,
    MAX_TRACE_BYTES,
    bad,
    bearer_token,
    check_depth,
    check_version,
)

_MAX_COMMAND_BYTES: Final = 128

_encode: Final = msgspec.json.Encoder().encode


class Tag(Struct, frozen=True, gc=False):
    """What an answer must know of its request.

    Attributes:
        id: as JSON; `null` if there was none.
        command: as JSON, in the client's spelling.
        name: the command meant; None if unknown.
        silent: it came as an event, which gets no answer.
        trace: `headers.trace` as JSON; b"" if there was none.
        room: the client said room for group.
    """

    id: bytes = b"null"
    command: bytes = b'"control/error"'
    name: enum.StrEnum | None = None
    silent: bool = False
    trace: bytes = b""
    room: bool = False


def tag_of(id: Any, command: Any, known: Command | None, kind: Any) -> Tag | None:
    """The tag of a request; None if its id cannot be echoed."""
    if type(id) is str:
        # A character takes at most four bytes, so most ids need not be measured.
        if len(id) > MAX_ID_BYTES // 4 and len(id.encode()) > MAX_ID_BYTES:
            return None
        written = _encode(id)
    elif id is None:
        written = b"null"
    elif type(id) is int and -MAX_JSON_INTEGER <= id <= MAX_JSON_INTEGER:
        written = b"%d" % id
    else:
        return None
    silent = kind == "event"
    if known is not None:
        spelled, room = _spelling(command)
        return Tag(written, spelled, known.name, silent, b"", room)
    if type(command) is str and len(command.encode()) <= _MAX_COMMAND_BYTES:
        return Tag(written, _encode(command), silent=silent)
    return Tag(written, silent=silent)


@lru_cache(maxsize=256)
def _spelling(command: str) -> tuple[bytes, bool]:
    """A known command as JSON, and whether it says room for group; there are few spellings."""
    return _encode(command), is_room(command)


def with_trace(tag: Tag, headers: Headers) -> Tag:
    """The tag with the client's trace, if it sent one."""
    trace = bytes(headers.trace)
    if not trace or trace == b"null":
        return tag
    if len(trace) > MAX_TRACE_BYTES:
        raise bad(f"headers.trace is longer than {MAX_TRACE_BYTES} bytes")
    check_depth(trace, "headers.trace")
    return msgspec.structs.replace(tag, trace=msgspec.json.format(trace, indent=-1))


def check_headers(headers: Headers) -> str:
    """Refuses another version; the bearer token ("" = none)."""
    if headers.version is not None:
        check_version(headers.version)
    authorization = headers.authorization
    if authorization is None:
        authorization = headers.authorization_lower
    return "" if authorization is None else bearer_token(authorization)


def with_room_id(payload: bytes) -> bytes:
    """Repeats group_id as room_id, for clients that say room."""
    fields = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    if "group_id" in fields:
        fields["room_id"] = fields["group_id"]
    return _encode(fields)
