"""The lines that `plain` reads, as their JSON has them; whatever else is in one makes it none of these."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from imserver.wire.jsonline.validator import VERSION


class Headers(Struct, gc=False, forbid_unknown_fields=True):
    version: str = VERSION


class User(Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["user"]
    id: str


class Text(Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str


class TextToUser(Struct, gc=False, forbid_unknown_fields=True):
    target: User
    content: Text


class Arrived(Struct, gc=False, forbid_unknown_fields=True):
    seq: int = 0
    message_id: str = ""


class Send(Struct, gc=False, forbid_unknown_fields=True, tag_field="command", tag="message/send"):
    id: str
    type: Literal["request"]
    payload: TextToUser
    timestamp: float | None = None
    headers: Headers | None = None


class Ack(Struct, gc=False, forbid_unknown_fields=True, tag_field="command", tag="message/ack"):
    type: Literal["request", "event"]
    payload: Arrived
    id: str | None = None
    timestamp: float | None = None
    headers: Headers | None = None
