"""The one table between a message's body in the model and in every wire format.

====================  ==========================  =================================  =====================
model                 001 (message_type, content) JSON formats (`content`)           000 (plain text)
====================  ==========================  =================================  =====================
``Form.TEXT``         1, the text in UTF-8        ``{"type": "text", "text": …}``    the text
``Form.JSON``         100, the compact object     the object                         ``[type] name or text``
... of type "text"    1, its text                 the object                         its text
``Form.OPAQUE`` n     n, the bytes                ``{"type": "custom",               ``[kind] name or text``
                                                  "message_type": n, "data": b64}``
... a file's (2-5)    n, a compact object         ``{"type": "file-ref",             ``[kind] name``
                                                  "message_type": n, ...}``
====================  ==========================  =================================  =====================

Every body has exactly one form: an object that another row of the table writes
is read back into that row, whichever way it came. What a message has beside its
body, and what document 001 has no field for, is in `extras`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import msgspec

from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Content, Form, Message
from imserver.wire.depth import check_depth

TEXT_NUMBER: Final = 1
"""Document 001: text."""
JSON_NUMBER: Final = 100
"""Our own number in document 001's message types: the content is a JSON object with a string "type"."""

MIN_NUMBER: Final = -(2**31)
MAX_NUMBER: Final = 2**31 - 1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_pack = msgspec.msgpack.Encoder().encode
_MANY_DIGITS = re.compile(rb"[0-9]{19}")
_OPAQUE_KEYS = frozenset({"type", "message_type", "data"})
_FILE: Final = "file-ref"
_FILE_ID = re.compile(r"f-[0-9a-f]{32}", re.ASCII)
_FILE_MARK: Final = b'"file_id":"f-'
_FILE_NUMBER: Final = 5
_KINDS = {2: "image", 3: "voice", 4: "video", 5: "file"}
_JSON_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


def _bad(text: str) -> ImError:
    return ImError(ErrorCode.BAD_REQUEST, text)


def compact_json(value: Any, what: str) -> bytes:
    """Writes a decoded JSON value compactly.

    Raises:
        ImError: BAD_REQUEST for what not every format could carry: unpaired surrogates, values
            JSON does not have, integers beyond 64 bits, or too deep nesting.
    """
    try:
        written = _encode(value)
        if _MANY_DIGITS.search(written):
            _pack(value)  # MessagePack has no integers beyond 64 bits
    except (TypeError, OverflowError, *_JSON_FAULTS):
        raise _bad(f"{what} cannot be written as JSON") from None
    check_depth(written, what)
    return written


def parse_json(data: bytes | str) -> Any:
    """Reads JSON; None if it is not JSON (or is `null`)."""
    try:
        return _decode(data)
    except _JSON_FAULTS:
        return None


# JSON formats


def from_json(value: Any) -> Content:
    """Reads the `content` object of a JSON format, already decoded.

    Raises:
        ImError: BAD_REQUEST if it is not an object with a non-empty string "type", is a
            text without a string "text", or cannot be carried (unpaired surrogates).
    """
    if type(value) is not dict:
        raise _bad("content must be an object")
    kind = value.get("type")
    if type(kind) is not str or not kind:
        raise _bad('content needs a non-empty string "type"')
    if kind == "text" and len(value) == 2 and type(value.get("text")) is str:
        try:
            return Content(Form.TEXT, value["text"].encode(), TEXT_NUMBER)
        except UnicodeEncodeError:
            raise _bad("the text has an unpaired surrogate") from None
    if kind == "text" and type(value.get("text")) is not str:
        raise _bad('a text needs a string "text"')
    if kind == "custom" and value.keys() == _OPAQUE_KEYS:
        opaque = _opaque(value["message_type"], value["data"])
        if opaque is not None:
            return opaque
    if kind == _FILE:
        file = _file(value)
        if file is not None:
            return file
    return Content(Form.JSON, compact_json(value, "content"), 0)


def _opaque(number: Any, data: Any) -> Content | None:
    """Reads the opaque shape; None unless `to_json` could have written exactly this."""
    if type(number) is not int or not MIN_NUMBER <= number <= MAX_NUMBER or type(data) is not str:
        return None
    try:
        body = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    if base64.b64encode(body).decode() != data:
        return None
    if number == TEXT_NUMBER or (number == JSON_NUMBER and _typed_object(body) is not None):
        return None
    if number in _KINDS and file_fields(from_numbered(number, body)):
        return None
    return Content(Form.OPAQUE, body, number)


def _file(value: dict[str, Any]) -> Content | None:
    """Reads the shape of a file that this server keeps; without a number it is a plain file."""
    fields = dict(value)
    del fields["type"]
    number = fields.pop("message_type", _FILE_NUMBER)
    if type(number) is not int or number not in _KINDS or _file_object(fields) is None:
        return None
    return Content(Form.OPAQUE, compact_json(fields, "content"), number)


def _file_object(value: Any) -> dict[str, Any] | None:
    """An object that refers to a file that this server keeps: it has an id of the server's form."""
    if type(value) is not dict or "type" in value or "message_type" in value:
        return None
    file = value.get("file_id")
    return value if type(file) is str and _FILE_ID.fullmatch(file) else None


def file_fields(content: Content) -> bytes:
    """The compact object in a body that refers to a file that this server keeps; b"" in all others."""
    if content.form != Form.OPAQUE or content.number not in _KINDS or _FILE_MARK not in content.data:
        return b""
    file = _file_object(parse_json(content.data))
    if file is None:
        return b""
    try:
        written = compact_json(file, "content")
    except ImError:
        return b""  # it came as bytes, and only as bytes it can go on
    return content.data if written == content.data else b""


def attachments_of(message: Message) -> bytes:
    """The `attachments` of the JSON formats: a message's own, else the file that its body refers to."""
    if message.attachments:
        return message.attachments
    fields = file_fields(message.content)
    return b"[%b]" % fields if fields else b""


def _typed_object(data: bytes) -> dict[str, Any] | None:
    value = parse_json(data)
    if type(value) is dict:
        kind = value.get("type")
        if type(kind) is str and kind and (kind != "text" or type(value.get("text")) is str):
            return value
    return None


def to_json(content: Content) -> bytes:
    """Writes the `content` object of a JSON format as raw JSON (`msgspec.Raw` embeds it).

    The emptied body of a revoked message comes out as a valid, empty object of its form.
    """
    if content.form == Form.TEXT:
        return b'{"type":"text","text":%b}' % _encode(content.data.decode())
    if content.form == Form.JSON:
        return content.data or b"{}"
    file = file_fields(content)
    if file:
        return b'{"type":"file-ref","message_type":%d,%b' % (content.number, file[1:])
    return b'{"type":"custom","message_type":%d,"data":"%b"}' % (
        content.number,
        base64.b64encode(content.data),
    )


# Document 001


def from_numbered(number: int, data: bytes) -> Content:
    """Reads document 001's (message_type, content).

    Raises:
        ImError: BAD_REQUEST for a text (type 1) that is not UTF-8.
    """
    if number == TEXT_NUMBER:
        try:
            data.decode()
        except UnicodeDecodeError:
            raise _bad("the text is not UTF-8") from None
        return Content(Form.TEXT, data, TEXT_NUMBER)
    if number == JSON_NUMBER:
        value = _typed_object(data)
        if value is not None:
            return from_json(value)
    if number in _KINDS:
        file = _file_object(parse_json(data))
        if file is not None:
            try:
                data = compact_json(file, "content")
            except ImError:
                pass  # no other format could carry it
    return Content(Form.OPAQUE, data, number)


def to_numbered(content: Content) -> tuple[int, bytes]:
    """Writes document 001's (message_type, content); `extras` has what a text has beside its text."""
    if content.form == Form.TEXT:
        return TEXT_NUMBER, content.data
    if content.form == Form.JSON:
        text = text_of(content)
        return (JSON_NUMBER, content.data) if text is None else (TEXT_NUMBER, text.encode())
    return content.number, content.data


def text_of(content: Content) -> str | None:
    """The text of an object of type "text", which by its form has further members; None for others."""
    if content.form != Form.JSON or b'"text"' not in content.data:
        return None
    value = parse_json(content.data)
    if type(value) is dict and value.get("type") == "text" and type(value.get("text")) is str:
        return str(value["text"])
    return None


# Document 000


def to_plain(content: Content) -> str:
    """Writes a body for people: the text, or `[kind] name or text`."""
    if content.form == Form.TEXT:
        return content.data.decode()
    text = text_of(content)
    if text is not None:
        return text
    value = parse_json(content.data)
    fields = value if type(value) is dict else {}
    if content.form == Form.JSON:
        kind = str(fields.get("type", "custom"))
    else:
        kind = _KINDS.get(content.number, "custom")
    for key in ("name", "text"):
        if type(fields.get(key)) is str and fields[key]:
            return f"[{kind}] {fields[key]}"
    return f"[{kind}]"
