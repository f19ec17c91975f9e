"""The envelope of document 002 (信令消息格式): type, payload, timestamp; and the forms of times and ids.

Times are ISO 8601 in UTC with a Z, whole seconds, as in the document. User and group
ids that look like small numbers are written as JSON integers, all others as strings.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Raw, Struct

from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import GROUP_PREFIX, MAX_JSON_INTEGER

MAX_FRAME: Final = 256 * 1024
"""Bytes of the largest message of a client (CONTRACT, Sizes)."""
MAX_ID_BYTES: Final = 255

_LAST_SECOND: Final = 253402300799  # 9999-12-31T23:59:59Z
_MILLISECONDS_FROM: Final = 10**11

Id = str | int

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder().decode


class Envelope(Struct):
    """A client's message; the payload is read in a second step, by type.

    Attributes:
        id: an addition to the document: answers repeat it.
    """

    type: str
    payload: Raw = Raw(b"{}")
    timestamp: str | int | float | None = None
    id: Id | None = None


def bad(text: str) -> ImError:
    """A BAD_REQUEST, to be raised."""
    return ImError(ErrorCode.BAD_REQUEST, text)


# Times

_known: tuple[int, bytes] = (0, b'"1970-01-01T00:00:00Z"')


def iso_json(seconds: float) -> bytes:
    """A time (float seconds since the epoch) as a JSON string."""
    global _known
    whole = int(seconds)
    known = _known
    if known[0] != whole:
        # Most times that are written are of this very second.
        written = time.strftime('"%Y-%m-%dT%H:%M:%SZ"', time.gmtime(whole)).encode()
        known = _known = (whole, written)
    return known[1]


def iso(seconds: float) -> str:
    """A time as text."""
    return iso_json(seconds)[1:-1].decode()


def parse_time(value: str | int | float) -> float:
    """Reads a time: ISO 8601 (UTC where no offset is told), or a number of seconds, or of milliseconds.

    Returns:
        float seconds; 0.0 for what lies before 1970.

    Raises:
        ImError: BAD_REQUEST if it is no time.
    """
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return max(0.0, moment.timestamp())
        except (ValueError, OverflowError):
            raise bad("timestamp must be a time in ISO 8601") from None
    if not 0 <= value <= _LAST_SECOND * 1000:
        raise bad("timestamp is out of range")
    # Browsers count in milliseconds (Date.now()).
    return value / 1000 if value >= _MILLISECONDS_FROM else float(value)


# Ids


def id_value(name: str) -> Id:
    """A user or group id as it is written: an integer where it is one in its shortest form, up to 2^53-1."""
    if len(name) <= 16 and name.isdecimal() and name.isascii() and (name[0] != "0" or name == "0"):
        number = int(name)
        if number <= MAX_JSON_INTEGER:
            return number
    return name


def id_json(name: str) -> bytes:
    """`id_value` as JSON."""
    return encode(id_value(name))


def id_text(value: Id | None, what: str) -> str:
    """An id as it is read; "" where it is absent, null or empty.

    Raises:
        ImError: BAD_REQUEST for a negative integer or one above 2^53-1.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return str(check_number(value, what))


def group_text(value: Id | None) -> str:
    """A group id: bare, or as the group's conversation is called."""
    return id_text(value, "group_id").removeprefix(GROUP_PREFIX)


def check_number(value: int, what: str) -> int:
    """A number within what JSON clients can represent.

    Raises:
        ImError: BAD_REQUEST if it is negative or above 2^53-1.
    """
    if not 0 <= value <= MAX_JSON_INTEGER:
        raise bad(f"{what} is out of range")
    return value
