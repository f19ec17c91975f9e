"""What nodes say to each other: frames, and media outside of them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from imserver.backends.redis.crossing import Unpackable
from imserver.model.calls import CallMedia


class Tell(Struct, array_like=True, frozen=True, gc=False, tag=0):
    """An event for one session."""

    user: str
    session: str
    event: bytes


class Ask(Struct, array_like=True, frozen=True, gc=False, tag=1):
    """A request; nobody waits for its answer after `until` (Redis' time, float seconds)."""

    number: int
    until: float
    request: bytes


class Answer(Struct, array_like=True, frozen=True, gc=False, tag=2):
    """What came of it: a reply, nothing, or a refusal."""

    number: int
    reply: bytes


class Publish(Struct, array_like=True, frozen=True, gc=False, tag=3):
    """An event for all sessions of some users but one."""

    users: list[str]
    event: bytes
    origin: str


class Kick(Struct, array_like=True, frozen=True, gc=False, tag=4):
    """The end of sessions."""

    user: str
    sid: str
    session: str
    event: bytes


Frame = Tell | Ask | Answer | Publish | Kick

write = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(Frame).decode
_read_media = msgspec.msgpack.Decoder(tuple[str, str, bytes, str]).decode


def read(body: bytes) -> Any:
    """A frame. Raises Unpackable."""
    try:
        return _read(body)
    except msgspec.DecodeError as error:
        raise Unpackable(str(error)) from None


def write_media(session: str, media: CallMedia) -> bytes:
    """A piece of a call's media for a session."""
    return write((session, media.call, media.data, media.sender))


def read_media(body: bytes) -> tuple[str, CallMedia]:
    """For whom, and what. Raises Unpackable."""
    try:
        session, call, data, sender = _read_media(body)
    except msgspec.DecodeError as error:
        raise Unpackable(str(error)) from None
    return session, CallMedia(data, call, sender)
