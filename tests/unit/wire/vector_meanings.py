"""The plain meanings of tests/vectors as structs of the model, and back."""

from __future__ import annotations

import enum
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from imserver.model import (
    accounts,
    call_records,
    calls,
    file_relays,
    files,
    friends,
    group_calls,
    groups,
    messages,
    presence,
    rooms,
)
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Content, Form
from imserver.model.rooms import RoomError, RoomFault
from imserver.wire.base import WireError
from imserver.wire.content import compact_json
from imserver.wire.jsonline.chat_app.client import VoiceEvent
from imserver.wire.jsonline.client import SendFailed
from imserver.wire.protobuf.answers import SyncFinished

UNTOLD = {"canonical", "position", "sent_at", "first_seq", "head", "user"}
"""What a client codec fills in from elsewhere where the bytes do not tell it."""


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


TYPES: dict[str, type[Struct]] = {
    _snake(name): kind
    for module in (
        accounts,
        call_records,
        calls,
        file_relays,
        files,
        friends,
        group_calls,
        groups,
        messages,
        presence,
        rooms,
    )
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Struct) and kind is not Struct
}
TYPES |= {"send_failed": SendFailed, "sync_finished": SyncFinished, "voice_event": VoiceEvent}


# To structs


def struct_of(meaning: dict[str, Any]) -> Any:
    """The struct (or ImError) that a meaning describes; what it leaves out is empty."""
    if meaning["is"] == "error":
        return ImError(ErrorCode(meaning["code"]), meaning["text"])
    if meaning["is"] == "room_error":
        return RoomError(RoomFault(meaning["fault"]), meaning["text"])
    return _build(TYPES[meaning["is"]], {name: value for name, value in meaning.items() if name != "is"})


def _build(kind: type[Struct], values: dict[str, Any]) -> Struct:
    hints = typing.get_type_hints(kind)
    unknown = values.keys() - hints.keys()
    if unknown:
        raise AssertionError(f"{kind.__name__} has no {unknown}")
    built = {}
    for field in fields(kind):
        if field.name in values:
            built[field.name] = _value(hints[field.name], field.name, values[field.name])
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            built[field.name] = _empty(hints[field.name])
    return kind(**built)


def _empty(hint: Any) -> Any:
    if hint is Content:
        return Content(Form.TEXT, b"")
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    origin = typing.get_origin(hint) or hint
    if origin in (Mapping, Sequence):
        return {} if origin is Mapping else []
    return None if origin in (types.UnionType, Any) else origin()


def _value(hint: Any, name: str, value: Any) -> Any:
    if hint is Content:
        return _content(value)
    if hint is ImError:
        return struct_of(value)
    if hint is float:
        return float(value)
    if hint is bytes:
        return bytes.fromhex(value) if name == "data" else compact_json(value, name)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint[value.upper()] if issubclass(hint, enum.IntEnum) else hint(value)
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _build(hint, value)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, tuple, Sequence):
        return (tuple if origin is tuple else list)(_value(arguments[0], name, item) for item in value)
    if origin is types.UnionType and len(arguments) == 2 and arguments[1] is type(None):
        return _value(arguments[0], name, value)
    return value


def _content(value: dict[str, Any]) -> Content:
    if "text" in value:
        return Content(Form.TEXT, value["text"].encode())
    if "object" in value:
        return Content(Form.JSON, compact_json(value["object"], "content"), 0)
    return Content(Form.OPAQUE, bytes.fromhex(value["hex"]), value["number"])


# From structs


def meaning_of(value: Any) -> dict[str, Any]:
    """The meaning of a struct or an error, without what is empty."""
    if isinstance(value, RoomError):
        return {"is": "room_error", "fault": value.fault.value, "text": value.text}
    if isinstance(value, ImError | WireError):
        return {"is": "error", "code": value.code.value, "text": value.text}
    return {"is": _snake(type(value).__name__), **_plain(value)}


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, Content):
        return _plain_content(value)
    if isinstance(value, ImError):
        return meaning_of(value)
    if isinstance(value, Struct):
        told = {field.name: getattr(value, field.name) for field in fields(type(value))}
        return {key: _plain(item, key) for key, item in told.items() if item or isinstance(item, Content)}
    if isinstance(value, bytes):
        return value.hex() if name == "data" else json.loads(value)
    if isinstance(value, enum.Enum):
        return value.name.lower() if isinstance(value, int) else value.value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _plain_content(content: Content) -> dict[str, Any]:
    if content.form == Form.TEXT:
        return {"text": content.data.decode()}
    if content.form == Form.JSON:
        return {"object": json.loads(content.data)}
    return {"number": content.number, "hex": content.data.hex()}


def told(read: Any, wanted: Any) -> Any:
    """What was read, without what the bytes do not tell and nobody wanted."""
    if isinstance(read, dict) and isinstance(wanted, dict):
        return {
            name: told(value, wanted.get(name))
            for name, value in read.items()
            if name in wanted or name not in UNTOLD
        }
    if isinstance(read, list) and isinstance(wanted, list) and len(read) == len(wanted):
        return [told(one, other) for one, other in zip(read, wanted, strict=True)]
    return read
