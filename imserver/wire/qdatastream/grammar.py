"""Which fields each type of message has, in both directions.

`parse` reads one message into raw fields; `values` and `events` give them
meaning. Ids and texts are still bytes here (see `scanner`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from imserver.model.errors import ErrorCode
from imserver.wire.qdatastream import tables
from imserver.wire.qdatastream.reason import read_reason
from imserver.wire.qdatastream.scanner import (
    MAX_ID_BYTES,
    MAX_STRING_BYTES,
    Incomplete,
    Malformed,
    Mode,
    Scanner,
)
from imserver.wire.qdatastream.strings import StringForm

__all__ = ["Incomplete", "Malformed", "Mode", "Parsed", "Role", "parse"]

MAX_CHUNK: Final = 60_000
MAX_MEDIA: Final = 65_000
"""Bytes of MEDIA in a length frame. Without one, a read is a piece, and no piece is too long."""
MAX_NAME_BYTES: Final = 4096
MAX_U16_BYTES: Final = 0xFFFF

_UTF8: Final = StringForm.UTF8
_QSTRING: Final = StringForm.QSTRING

Fields = tuple[Any, ...]


class Role(enum.Enum):
    """Who wrote the message: the two directions differ in their fields."""

    CLIENT = "client to server"
    SERVER = "server to client"


class Parsed(Struct, frozen=True, gc=False):
    """One message.

    Attributes:
        type: its first byte.
        form: the form of its strings; None if it says nothing about forms.
        fields: strings as raw bytes without length, numbers as int; see the functions below.
        end: where the next message begins.
    """

    type: int
    form: StringForm | None
    fields: Fields
    end: int


def _text(s: Scanner) -> Fields:
    return s.first_id(), s.string()


def _file(s: Scanner) -> Fields:
    op = s.number(1)
    if op == tables.FileOp.OFFER:
        peer, transfer = s.first_id(), s.string(MAX_NAME_BYTES)
        name, size = s.string(MAX_NAME_BYTES), s.number(8)
        return op, peer, transfer, name, size, s.string(MAX_NAME_BYTES)
    if op == tables.FileOp.CHUNK:
        transfer, offset, length = s.first_id(), s.number(8), s.number(4)
        if length > MAX_CHUNK:
            raise Malformed("a chunk is too long", ErrorCode.TOO_LARGE)
        return op, transfer, offset, s.take(length)
    if op == tables.FileOp.ACK:
        return op, s.first_id(), s.number(8)
    if op == tables.FileOp.CANCEL:
        return op, s.first_id(), s.string(MAX_NAME_BYTES)
    if op == tables.FileOp.COMPLETE:
        return op, s.first_id()
    raise Malformed("there is no such file operation")


def _call_request(s: Scanner) -> Fields:
    return s.first_id(), s.flag()


def _accept(s: Scanner) -> Fields:
    return (s.first_call_id(),)


def _reject(s: Scanner) -> Fields:
    return s.first_call_id(), read_reason(s)


def _end(s: Scanner) -> Fields:
    return (s.first_call_id(may_be_empty=True),)


def _media(s: Scanner) -> Fields:
    return (s.rest(),)


def _nothing(s: Scanner) -> Fields:
    return ()


def _password(s: Scanner) -> Fields:
    return s.u16_string(MAX_U16_BYTES), s.u16_string(MAX_U16_BYTES)


def _incoming_call(s: Scanner) -> Fields:
    return s.first_call_id(), s.string(MAX_NAME_BYTES), s.flag()


def _incoming_media(s: Scanner) -> Fields:
    return s.first_call_id(), s.rest()


def _auth_response(s: Scanner) -> Fields:
    if s.flag():
        return True, s.u16_string(MAX_U16_BYTES), s.u16_string(MAX_U16_BYTES)
    return False, s.u16_string(MAX_U16_BYTES)


def _error(s: Scanner) -> Fields:
    request, code = s.number(1), s.number(2)
    # There is no id that tells the form; an ERROR is short, so a QString's length begins with 0, and a
    # UTF-8 string's only if it is empty.
    if s.mode is Mode.WHOLE:
        long = s.left > 2 and s.data[s.at : s.at + 2] == b"\0\0"
        s.form = StringForm.QSTRING if long else StringForm.UTF8
    else:
        s.form = s.last
    return request, code, s.string()


def _presence(s: Scanner) -> Fields:
    return s.first_id(), s.number(1)


_Reader = Callable[[Scanner], Fields]

_FROM_CLIENT: Final[dict[int, _Reader]] = {
    tables.TEXT: _text,
    tables.FILE: _file,
    tables.CALL_REQUEST: _call_request,
    tables.CALL_ACCEPT: _accept,
    tables.CALL_REJECT: _reject,
    tables.CALL_END: _end,
    tables.MEDIA_DATA: _media,
    tables.HEARTBEAT: _nothing,
    tables.LOGIN: _password,
    tables.REGISTER: _password,
}
_FROM_SERVER: Final[dict[int, _Reader]] = {
    tables.TEXT: _text,
    tables.FILE: _file,
    tables.CALL_REQUEST: _incoming_call,
    tables.CALL_ACCEPT: _accept,
    tables.CALL_REJECT: _reject,
    tables.CALL_END: _end,
    tables.MEDIA_DATA: _incoming_media,
    tables.HEARTBEAT: _nothing,
    tables.AUTH_RESPONSE: _auth_response,
    tables.ERROR: _error,
    tables.PRESENCE: _presence,
}
_READERS: Final = {Role.CLIENT: _FROM_CLIENT, Role.SERVER: _FROM_SERVER}


def _text_at_once(data: bytes | bytearray, at: int, whole: bool) -> Parsed | None:
    """A TEXT that is there from end to end, in a fraction of the time; None leaves it to the scanner."""
    size = len(data)
    if size - at < 5:
        return None
    length = data[at + 1] << 8 | data[at + 2]
    if length:
        if length > MAX_ID_BYTES:
            return None
        form = _UTF8
        start = at + 3
        middle = start + length
        body = middle + 2
        if body > size:
            return None
        end = body + (data[middle] << 8 | data[middle + 1])
    else:
        length = data[at + 3] << 8 | data[at + 4]
        if length & 1 or not 0 < length <= 2 * MAX_ID_BYTES:
            return None
        form = _QSTRING
        start = at + 5
        middle = start + length
        body = middle + 4
        if body > size:
            return None
        length = int.from_bytes(data[middle:body], "big")
        if length & 1 or length > MAX_STRING_BYTES:
            return None
        end = body + length
    if end > size or (whole and end != size):
        return None
    return Parsed(0, form, (bytes(data[start:middle]), bytes(data[body:end])), end)


def parse(data: bytes | bytearray, at: int, mode: Mode, last: StringForm, role: Role = Role.CLIENT) -> Parsed:
    """Reads the message that begins at `at`.

    Args:
        mode: what the end of `data` means; where it is the message's (WHOLE), nothing may be left over.
        last: the form last used on the connection.
        role: who wrote it.

    Raises:
        Incomplete: (never where WHOLE) more bytes are needed.
        Malformed: it is none.
    """
    if at < len(data) and not data[at]:
        text = _text_at_once(data, at, mode is Mode.WHOLE)
        if text is not None:
            return text
    scanner = Scanner(data, at, mode, last)
    number = scanner.number(1)
    reader = _READERS[role].get(number)
    if reader is None:
        raise Malformed(f"there is no message type {number} here", ErrorCode.UNKNOWN_COMMAND)
    fields = reader(scanner)
    if mode is Mode.WHOLE and scanner.left:
        raise Malformed("the message is longer than its fields")
    return Parsed(number, scanner.form, fields, scanner.at)
