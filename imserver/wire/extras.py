"""What belongs to a message beside its body: extra, attachments, meta; in the JSON formats and document 001.

What document 001 has no field for travels in its `extra` map (`pack_extra`):
attachments, meta, and of a text with further members the whole object, so that
every client of it sees a text.
"""

from __future__ import annotations

from typing import Any, Final

from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Content, Form
from imserver.wire.content import compact_json, from_json, parse_json, text_of

ATTACHMENTS_KEY: Final = "im.attachments"
META_KEY: Final = "im.meta"
CONTENT_KEY: Final = "im.content"
RESERVED_KEYS: Final = frozenset({ATTACHMENTS_KEY, META_KEY, CONTENT_KEY})
REVOKED_KEY: Final = "revoked"
"""By this key in `extra` clients of document 001 know a message that was taken back: the server's alone."""


def _bad(text: str) -> ImError:
    return ImError(ErrorCode.BAD_REQUEST, text)


def extra_from_json(value: Any) -> dict[str, str]:
    """Reads the `extra` object of a JSON format (None = absent): document 001's string map.

    Raises:
        ImError: BAD_REQUEST unless it is an object of strings without the reserved keys.
    """
    if value is None:
        return {}
    if type(value) is not dict:
        raise _bad("extra must be an object")
    for key, item in value.items():
        if type(item) is not str:
            raise _bad("extra must hold strings only")
        if key in RESERVED_KEYS:
            raise _bad(f'extra must not hold "{key}": use the field of that name')
    check_extra(value)
    compact_json(value, "extra")
    return value


def check_extra(extra: dict[str, str]) -> None:
    """Refuses what only the server may say in `extra`, whichever format it comes in.

    Raises:
        ImError: BAD_REQUEST.
    """
    if REVOKED_KEY in extra:
        raise _bad(f'extra must not hold "{REVOKED_KEY}": revoke the message instead')


def attachments_from_json(value: Any) -> bytes:
    """Reads the `attachments` array of a JSON format (None or [] = none) into compact JSON, b"" for none.

    Raises:
        ImError: BAD_REQUEST unless it is an array of objects.
    """
    if value is None or value == []:
        return b""
    if type(value) is not list or not all(type(item) is dict for item in value):
        raise _bad("attachments must be an array of objects")
    return compact_json(value, "attachments")


def meta_from_json(value: Any) -> bytes:
    """Reads the `meta` object of a JSON format (None or {} = none) into compact JSON, b"" for none.

    Raises:
        ImError: BAD_REQUEST unless it is an object.
    """
    if value is None or value == {}:
        return b""
    if type(value) is not dict:
        raise _bad("meta must be an object")
    return compact_json(value, "meta")


def pack_extra(extra: dict[str, str], attachments: bytes, meta: bytes, content: Content) -> dict[str, str]:
    """Document 001's `extra` map: the message's own, and what it has no field for under the reserved keys."""
    more = content.form == Form.JSON and text_of(content) is not None
    if not attachments and not meta and not more:
        return extra
    packed = dict(extra)
    if more:
        packed[CONTENT_KEY] = content.data.decode()
    if attachments:
        packed[ATTACHMENTS_KEY] = attachments.decode()
    if meta:
        packed[META_KEY] = meta.decode()
    return packed


def unpack_extra(packed: dict[str, str], content: Content) -> tuple[dict[str, str], bytes, bytes, Content]:
    """Reads (extra, attachments, meta, content) from document 001's `extra` map.

    A reserved key whose value is not what `pack_extra` could have written (a
    non-empty array of objects, a non-empty object, an object of type "text" with
    the very text of the content and further members) stays an ordinary entry.

    Args:
        content: what the message's own fields said.
    """
    if RESERVED_KEYS.isdisjoint(packed):
        return packed, b"", b"", content
    extra = dict(packed)
    whole = _whole_text(packed.get(CONTENT_KEY, ""), content)
    if whole is not None:
        del extra[CONTENT_KEY]
        content = whole
    attachments = meta = b""
    try:
        attachments = attachments_from_json(parse_json(extra.get(ATTACHMENTS_KEY, "")))
    except ImError:
        pass
    try:
        meta = meta_from_json(parse_json(extra.get(META_KEY, "")))
    except ImError:
        pass
    if attachments:
        del extra[ATTACHMENTS_KEY]
    if meta:
        del extra[META_KEY]
    return extra, attachments, meta, content


def _whole_text(value: str, content: Content) -> Content | None:
    if content.form != Form.TEXT or not value:
        return None
    try:
        whole = from_json(parse_json(value))
    except ImError:
        return None
    text = text_of(whole)
    return whole if text is not None and text.encode() == content.data else None
