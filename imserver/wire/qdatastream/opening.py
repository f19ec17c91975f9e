"""The first message of a connection: any type from 0 to 9, and who it comes from.

`[type][u16 + UTF-8 user id][that type's own payload]`; with HEARTBEAT a token
may follow, LOGIN and REGISTER carry a password.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from imserver.model.errors import ErrorCode
from imserver.model.ids import MAX_ID_BYTES, id_fault
from imserver.wire.base import WireError
from imserver.wire.qdatastream import tables
from imserver.wire.qdatastream.scanner import Incomplete, Malformed, Mode, Scanner
from imserver.wire.qdatastream.strings import NULL, StringForm, decode

MAX_SECRET_BYTES: Final = 16_384
"""Of a token or password as it is read; what is too long for either is refused later."""
OPENING_HEAD: Final = 3 + MAX_ID_BYTES
"""Bytes of the longest type and user id."""


class NotAnOpening(WireError):
    """The connection does not begin as document 000 says: it is logged and closed without an answer.

    It is given back among the messages, without the traceback: that would keep the list which holds it.
    """

    def __init__(self, text: str, code: ErrorCode = ErrorCode.BAD_REQUEST) -> None:
        super().__init__(code, text, fatal=True)


def read_id(s: Scanner) -> str:
    """The type and the user id at a connection's start; returns the id.

    Raises:
        NotAnOpening: as soon as the bytes show it.
        Incomplete / Malformed: as the scanner.
    """
    if s.number(1) > tables.LAST_OPENING:
        raise NotAnOpening("the first message has a type above 9")
    if s.left and s.peek() != 0:
        raise NotAnOpening("the first message's user id is too long")
    length = s.number(2)
    if not 1 <= length <= MAX_ID_BYTES:
        raise NotAnOpening("the first message's user id is empty")
    user: str | None = None
    with suppress(ValueError):  # which, as the context of what is raised, would be in a cycle with it
        user = decode(s.take(length), StringForm.UTF8)
    if user is None:
        raise NotAnOpening("the first message's user id is not UTF-8")
    fault = id_fault(user)
    if fault is not None:
        raise NotAnOpening(f"the first message's user id {fault}")
    return user


def read_token(s: Scanner) -> str:
    """The token after a HEARTBEAT's user id, in either string form.

    Raises:
        Incomplete: as the scanner; settles where it would be an empty one.
        Malformed: as the scanner; AUTH_FAILED for an empty one.
    """
    head = bytes(s.data[s.at : s.at + 2])
    if head == b"\0\0":
        s.form = StringForm.QSTRING
        if s.left < 4 and s.mode is Mode.OPEN:
            raise Incomplete(settles=True)
        # A token begins with an ASCII character. Otherwise the two bytes are an empty
        # string of the other form, and what follows is the next message.
        first = int.from_bytes(s.data[s.at + 4 : s.at + 6], "big")
        if s.left < 4 or (s.left >= 6 and not 0x20 < first < 0x7F):
            raise _no_token()
        raw = s.string(MAX_SECRET_BYTES)
    elif head == NULL[:2]:
        raise _no_token()
    else:
        raw = s.u16_string(MAX_SECRET_BYTES)
    if not raw:
        raise _no_token()
    try:
        return decode(raw, s.form or StringForm.UTF8)
    except ValueError:
        raise Malformed("the token is not valid text") from None


def _no_token() -> Malformed:
    return Malformed("the token is empty", ErrorCode.AUTH_FAILED)


def split_opening(frame: bytes) -> list[bytes | WireError]:
    """The first framed message as two: who (type, id, token or password), and the message itself if any.

    Raises:
        NotAnOpening: it is none.
    """
    if len(frame) < 3 or len(frame) < 3 + int.from_bytes(frame[1:3], "big"):
        raise NotAnOpening("the first message is too short")
    end = 3 + int.from_bytes(frame[1:3], "big")
    scanner = whole(frame)
    read_id(scanner)
    if frame[0] >= tables.HEARTBEAT or len(frame) == end:
        return [frame]
    return [frame[:end], frame[:1] + frame[end:]]


def check_beginning(part: bytes) -> None:
    """Looks at the beginning of a first message whose rest has not come yet.

    Raises:
        NotAnOpening: it shows already that there is none.
    """
    with suppress(Incomplete):
        read_id(Scanner(part, 0, Mode.OPEN, StringForm.UTF8))


def whole(frame: bytes) -> Scanner:
    """A scanner over a complete message."""
    return Scanner(frame, 0, Mode.WHOLE, StringForm.UTF8)
