"""CALL_REJECT's optional reason, and what may follow it on an unframed connection.

In a frame the length decides: what is left over is the reason. Without frames
the next byte does: `01` to `0b` begin another message, `ff` a null string, and
`00` either a TEXT or a string's length. It is a TEXT if the bytes read as the
head of one (00, then a valid id in this message's form).
"""

from __future__ import annotations

from typing import Final

from imserver.wire.qdatastream.ids import address_of
from imserver.wire.qdatastream.scanner import MAX_ID_BYTES, Incomplete, Malformed, Mode, Scanner
from imserver.wire.qdatastream.strings import NULL, StringForm, decode

MAX_REASON_BYTES: Final = 255
"""In UTF-8; twice as many in UTF-16."""


def read_reason(s: Scanner) -> bytes | None:
    """The reason's raw bytes, b"" for an empty or null one, None if there is none.

    Raises:
        Incomplete: it cannot be told yet; `settles` if time decides.
        Malformed: what is there is no reason.
    """
    if not s.left:
        if s.mode is Mode.OPEN:
            raise Incomplete(settles=True)
        return None
    first = s.peek()
    if first == NULL[0]:
        s.null()
        return b""
    if s.mode is Mode.WHOLE:
        return _string(s)
    if first != 0:
        return None  # the next message
    verdict = _text_follows(s)
    if verdict is None:
        if s.mode is Mode.OPEN:
            raise Incomplete(settles=True)
        return _settled(s)
    return None if verdict else _string(s)


def _string(s: Scanner) -> bytes:
    return s.string(MAX_REASON_BYTES if s.form is StringForm.UTF8 else 2 * MAX_REASON_BYTES)


def _settled(s: Scanner) -> bytes | None:
    """Nothing decided it in time: a string that is complete is the reason; else there is none."""
    start = s.at
    try:
        return _string(s)
    except (Incomplete, Malformed):
        s.at = start
        return None


def _text_follows(s: Scanner) -> bool | None:
    """Whether a TEXT begins here; None if too little of it is there to tell."""
    form = s.form
    assert form is not None
    if form is StringForm.UTF8:
        size, most = 2, MAX_ID_BYTES
    else:
        size, most = 4, 2 * MAX_ID_BYTES
    start = s.at + 1
    head = bytes(s.data[start : start + size])
    # The smallest length that can still come of what is there, and then the largest.
    missing = size - len(head)
    least = int.from_bytes(head + b"\0" * missing, "big")
    largest = int.from_bytes(head + b"\xff" * missing, "big")
    if least > most or largest == 0:
        return False
    if missing:
        return None
    if size == 4 and least % 2:
        return False
    text = bytes(s.data[start + size : start + size + least])
    if len(text) < least:
        return None
    try:
        return address_of(decode(text, form)) is not None
    except ValueError:
        return False
