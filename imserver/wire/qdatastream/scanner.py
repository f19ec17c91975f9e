"""Reads the fields of one message from bytes that may not be complete.

A message in a length frame is whole: its end is where the bytes end. On an
unframed connection only the fields say where it ends, and more may follow or
still be missing. One scanner serves both, so there is one grammar.

Fields are read structurally: where they begin and end, not whether their text
is well formed. A stream can go on after a bad text, not after a bad length.
"""

from __future__ import annotations

import enum
from typing import Final

from imserver.model.errors import ErrorCode
from imserver.wire.qdatastream.strings import NULL, StringForm

MAX_ID_BYTES: Final = 517
"""`group_`, 255 bytes, `/`, 255 bytes, in UTF-8; twice as many in UTF-16."""
CALL_ID_BYTES: Final = 36
"""A UUID without braces, in UTF-8; twice as many in UTF-16."""
MAX_STRING_BYTES: Final = 250_000
"""Of a QString; what may be sent is far less, and is refused where there is an answer."""


class Incomplete(Exception):
    """The message needs more bytes.

    Args:
        settles: it also ends here if nothing more comes for a while.
    """

    def __init__(self, settles: bool = False) -> None:
        super().__init__()
        self.settles = settles


class Malformed(Exception):
    """No message begins like this. Never carries bytes of the peer."""

    def __init__(self, text: str, code: ErrorCode = ErrorCode.BAD_REQUEST) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Mode(enum.Enum):
    """What the end of the bytes means."""

    WHOLE = "the end of the message"
    OPEN = "more may come"
    SETTLED = "nothing more came for a while"


class Scanner:
    """A place in some bytes.

    Attributes:
        data: the bytes.
        at: the next one to read.
        mode: what their end means.
        last: the form last used on this connection.
        form: this message's form, once its first id was read.
    """

    __slots__ = ("at", "data", "form", "last", "mode")

    def __init__(self, data: bytes | bytearray, at: int, mode: Mode, last: StringForm) -> None:
        self.data = data
        self.at = at
        self.mode = mode
        self.last = last
        self.form: StringForm | None = None

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.at

    def _need(self, count: int) -> None:
        if self.left < count:
            if self.mode is Mode.WHOLE:
                raise Malformed("the message is too short")
            raise Incomplete

    def number(self, size: int) -> int:
        """An unsigned number of `size` bytes."""
        self._need(size)
        value = int.from_bytes(self.data[self.at : self.at + size], "big")
        self.at += size
        return value

    def flag(self) -> bool:
        """One byte, 0 or 1."""
        value = self.number(1)
        if value > 1:
            raise Malformed("a flag is neither 0 nor 1")
        return value == 1

    def take(self, count: int) -> bytes:
        """So many bytes."""
        self._need(count)
        taken = bytes(self.data[self.at : self.at + count])
        self.at += count
        return taken

    def rest(self) -> bytes:
        """Everything that is there."""
        return self.take(self.left)

    # Ids: the first one of a message says which form its strings have

    def first_id(self) -> bytes:
        """A user or group id: 1 to 517 bytes UTF-8, twice as many UTF-16."""
        return self._first(1, MAX_ID_BYTES)

    def first_call_id(self, *, may_be_empty: bool = False) -> bytes:
        """A CallId, exactly 36 characters; b"" if it is empty and may be."""
        return self._first(CALL_ID_BYTES, CALL_ID_BYTES, may_be_empty)

    def _first(self, least: int, most: int, may_be_empty: bool = False) -> bytes:
        self._need(2)
        length = int.from_bytes(self.data[self.at : self.at + 2], "big")
        if least <= length <= most:
            self.form = StringForm.UTF8
            self.at += 2
            return self.take(length)
        if length == 0xFFFF:
            if self.number(4) != 0xFFFFFFFF:
                raise Malformed("an id is too long")
            if not may_be_empty:
                raise Malformed("an id is empty")
            self.form = StringForm.QSTRING
            return b""
        if length:
            raise Malformed("an id has no valid length")
        return self._first_long(least, most, may_be_empty)

    def _first_long(self, least: int, most: int, may_be_empty: bool) -> bytes:
        """The first two bytes are 0: a QString, or an empty id in either form."""
        if self.left < 4:
            # A CallId's length is below 256, so a third byte that is not 0 is the next message's.
            decided = self.left == 3 and most == CALL_ID_BYTES and self.data[self.at + 2] != 0
            if may_be_empty and (
                decided
                or self.mode is Mode.WHOLE
                or (self.mode is Mode.SETTLED and self.last is StringForm.UTF8)
            ):
                self.form = StringForm.UTF8
                self.at += 2
                return b""
            if self.mode is Mode.WHOLE or decided:
                raise Malformed("an id is empty")
            raise Incomplete(settles=may_be_empty and self.last is StringForm.UTF8)
        length = int.from_bytes(self.data[self.at : self.at + 4], "big")
        if 2 * least <= length <= 2 * most and length % 2 == 0:
            self.form = StringForm.QSTRING
            self.at += 4
            return self.take(length)
        if not may_be_empty:
            raise Malformed("an id is empty or has no valid length")
        # In a frame what is left over decides; else the form that was used before.
        whole = self.mode is Mode.WHOLE
        if length == 0 and (self.left == 4 if whole else self.last is StringForm.QSTRING):
            self.form = StringForm.QSTRING
            self.at += 4
        else:
            self.form = StringForm.UTF8
            self.at += 2
        return b""

    # Other strings

    def string(self, most: int = MAX_STRING_BYTES) -> bytes:
        """A string in this message's form, of `most` bytes at the most; the null QString is empty."""
        if self.form is StringForm.QSTRING:
            length = self.number(4)
            if length == 0xFFFFFFFF:
                return b""
            if length % 2:
                raise Malformed("a QString has an odd length")
        else:
            length = self.number(2)
        if length > most:
            raise Malformed("a string is too long", ErrorCode.TOO_LARGE)
        return self.take(length)

    def u16_string(self, most: int) -> bytes:
        """A string whose form is u16 + UTF-8 whatever the others' is."""
        length = self.number(2)
        if length > most:
            raise Malformed("a string is too long", ErrorCode.TOO_LARGE)
        return self.take(length)

    def null(self) -> None:
        """A null string."""
        if self.take(4) != NULL:
            raise Malformed("a string has no valid length")

    def peek(self) -> int:
        """The next byte, without reading it."""
        return self.data[self.at]
