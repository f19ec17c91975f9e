"""Messages as the dialect chat-app has them: flat, and never longer than its clients can read.

A text that is too long for one line is cut into several messages; the second has the id of the
first with ".2" behind it, and so on. `part` and `parts` say which it is. What else does not fit
(attachments, meta, extra, members of a content beside its text) is left out, with `truncated` true.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from imserver.model.messages import Content, Form, Message
from imserver.wire import content as contents
from imserver.wire.jsonline.pushes import beside_fields, message_fields, more_fields

LEAST_PIECE: Final = 8 * 1024
"""Attachments are rather left out than that the first piece of a text becomes shorter, in bytes."""
MARKS: Final = 64
"""More bytes than `truncated`, `part` and `parts` take."""

_encode: Final = msgspec.json.Encoder().encode
_PART: Final = re.compile(r"(.+)\.([1-9][0-9]{0,3})", re.ASCII)


class Part(NamedTuple):
    """A message, or a piece of one: its id as JSON, its members without seq and braces."""

    id: bytes
    fields: bytes


def whole_id(id: str) -> str:
    """The id of the message that a client names by the id of one of its pieces."""
    found = _PART.fullmatch(id)
    return id if found is None else found[1]


def parts(message: Message, room: int) -> list[Part]:
    """A message in pieces of at most `room` bytes; nearly always one."""
    fields = message_fields(message) + more_fields(message)
    if len(fields) <= room:
        return [Part(_encode(message.message_id), fields)]
    return _Cutter(message, room).parts()


class _Cutter:
    """One message that is too long."""

    def __init__(self, message: Message, room: int) -> None:
        self._message = message
        self._room = room
        self._carried = beside_fields(message)
        self._truncated = False

    def parts(self) -> list[Part]:
        content = self._message.content
        if content.form is Form.TEXT:
            return self._texts("text", content.data.decode())
        written = contents.to_json(content)
        if self._space(written) >= 0:
            self._shed(written, 0)
            return [self._part(1, 1, written, first=True)]
        fields = _members(content)
        self._truncated = bool(fields.keys() - {"type", "text"})
        if type(fields.get("text")) is str:
            return self._texts(fields["type"], fields["text"])
        kept = {name: fields[name] for name in ("type", "message_type") if name in fields}
        rest = _encode(kept)
        self._truncated = True
        self._shed(rest, 0)
        return [self._part(1, 1, rest, first=True)]

    def _texts(self, kind: str, text: str) -> list[Part]:
        empty = _encode({"type": kind, "text": ""})
        swelled = _encode(text)[1:-1]
        self._shed(empty, min(len(swelled), LEAST_PIECE))
        others = self._space(empty)
        pieces = cut(swelled, others - sum(map(len, self._carried)), others)
        return [
            self._part(number, len(pieces), empty[:-2] + piece + b'"}', first=number == 1)
            for number, piece in enumerate(pieces, 1)
        ]

    def _space(self, content: bytes) -> int:
        """Bytes left beside the content, where nothing is carried with it."""
        bare = message_fields(self._message, content) + more_fields(self._message, beside=())
        return self._room - len(bare) - MARKS

    def _shed(self, content: bytes, wanted: int) -> None:
        """Leaves out as much as it takes, the longest first, to have so many bytes left."""
        space = self._space(content) - wanted
        while self._carried and sum(map(len, self._carried)) > space:
            self._carried.remove(max(self._carried, key=len))
            self._truncated = True

    def _part(self, number: int, count: int, content: bytes, *, first: bool) -> Part:
        message = self._message
        if not first:
            message = msgspec.structs.replace(message, message_id=f"{message.message_id}.{number}")
        fields = message_fields(message, content) + more_fields(message, self._carried if first else ())
        if self._truncated:
            fields += b',"truncated":true'
        if count > 1:
            fields += b',"part":%d,"parts":%d' % (number, count)
        return Part(_encode(message.message_id), fields)


def _members(content: Content) -> dict[str, Any]:
    fields = contents.parse_json(contents.to_json(content))
    return fields if type(fields) is dict else {}


def cut(written: bytes, first: int, others: int) -> list[bytes]:
    """Cuts the inside of a JSON string into pieces that are such, too.

    Args:
        first / others: bytes of the first piece, and of all further ones, at the most.
    """
    pieces: list[bytes] = []
    start, size = 0, first
    while len(written) - start > size:
        end = _boundary(written, start + max(size, 8))
        pieces.append(written[start:end])
        start, size = end, others
    pieces.append(written[start:])
    return pieces


def _boundary(written: bytes, at: int) -> int:
    """The last place at or before `at` that is in the middle of neither a character nor an escape."""
    while at < len(written) and written[at] & 0xC0 == 0x80:
        at -= 1
    slash = written.rfind(b"\\", max(0, at - 5), at)
    if slash < 0:
        return at
    run = slash + 1 - len(written[: slash + 1].rstrip(b"\\"))
    if run % 2 == 0:
        return at  # a written backslash, complete
    length = 6 if written[slash + 1 : slash + 2] == b"u" else 2
    return slash if slash + length > at else at
