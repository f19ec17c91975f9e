"""`content`, `message_type` and `reply_to_id`: a message's body in this format.

`content` is a string for a text (`message_type` "text"), else the content object of
`imserver.wire.content`, whose "type" is the `message_type`. An object of type "text"
that is more than a text is written with `message_type` "custom", so that "text" always
means a string.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from imserver.model.messages import Content, Form
from imserver.wire import content as contents
from imserver.wire import extras
from imserver.wire.signalling.envelope import MAX_ID_BYTES, bad, encode

TEXT: Final = "text"
CUSTOM: Final = "custom"

_TEXT_FORM: Final = Form.TEXT
_JSON_FORM: Final = Form.JSON
_PRIORITIES: Final = (None, "normal", "high")


class _Typed(Struct, gc=False):
    type: str = CUSTOM


_typed: Final = msgspec.json.Decoder(_Typed).decode


class _Reply(Struct, gc=False):
    reply_to: Any = None


_reply: Final = msgspec.json.Decoder(_Reply).decode


def read_content(value: Any, message_type: str | None) -> Content:
    """Reads `content` and `message_type`.

    Raises:
        ImError: BAD_REQUEST for neither a string nor an object, or where the two contradict each other.
    """
    if type(value) is str:
        if not message_type or message_type == TEXT:
            return contents.from_json({"type": TEXT, "text": value})
        value = {"type": message_type, "text": value}
    elif type(value) is not dict:
        raise bad("content must be a string or an object")
    elif message_type and value.get("type") in (None, ""):
        value = {**value, "type": message_type}
    elif message_type and message_type not in (value.get("type"), CUSTOM):
        raise bad("message_type and content.type differ")
    return contents.from_json(value)


def write_content(content: Content) -> tuple[bytes, bytes]:
    """(`content`, `message_type`) as JSON."""
    if content.form == _TEXT_FORM:
        return encode(content.data.decode()), b'"text"'
    written = contents.to_json(content)
    kind = _typed(written).type
    return written, encode(CUSTOM if kind == TEXT else kind)


def read_attachments(value: Any) -> bytes:
    """Reads `attachments`."""
    return extras.attachments_from_json(value)


def read_meta(value: Any, reply_to: str) -> bytes:
    """Reads `meta`, and puts `reply_to_id` into it, where the other formats have it.

    Raises:
        ImError: BAD_REQUEST, also where both name a message, but not the same.
    """
    if reply_to:
        if value is None:
            value = {}
        elif type(value) is not dict:
            raise bad("meta must be an object")
        if value.setdefault("reply_to", reply_to) != reply_to:
            raise bad("reply_to_id and meta.reply_to differ")
    data = extras.meta_from_json(value)
    if data:
        named = value.get("reply_to")
        if named is not None and (type(named) is not str or not 0 < len(named.encode()) <= MAX_ID_BYTES):
            raise bad("reply_to_id must be a message id")
        if value.get("priority") not in _PRIORITIES:
            raise bad("meta.priority must be normal or high")
    return data


def reply_to(meta: bytes) -> bytes:
    """The `reply_to_id` in a message's meta, as JSON; b"" if there is none."""
    if b'"reply_to"' not in meta:
        return b""
    named = _reply(meta).reply_to
    return encode(named) if type(named) is str and named else b""
