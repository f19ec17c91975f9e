"""The formats and their doors: a new one is a codec and a line here, or in the configuration."""

from __future__ import annotations

import enum
import importlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.protocol import ServerFactory

from imserver.protocols.doors import Doors
from imserver.protocols.jsonline import JsonLineFactory
from imserver.protocols.qdatastream import QDataStreamFactory
from imserver.protocols.websocket import WebSocketFactory
from imserver.wire import meeting
from imserver.wire.base import Negotiated, ServerCodec, Upgrade
from imserver.wire.jsonline import JsonLineServerCodec
from imserver.wire.jsonline.chat_app import ChatAppServerCodec
from imserver.wire.jsonline.extensions import Extensions
from imserver.wire.jsonline.guard import Guard
from imserver.wire.jsonline.sealing import Nonces
from imserver.wire.jsonline.secured import SecuredJsonLineServerCodec
from imserver.wire.jsonline.security import SessionSecurity
from imserver.wire.meeting import MeetingServerCodec
from imserver.wire.protobuf import ProtobufServerCodec
from imserver.wire.qdatastream import Framing, QDataStreamServerCodec
from imserver.wire.signalling import SignallingServerCodec, negotiate


class CodecOptions(Struct, frozen=True):
    """What a listener may set for its codec.

    Attributes:
        wall_time: the server's clock, float seconds since the epoch.
        compression: formats over WebSockets: permessage-deflate for clients that offer it.
        echo_client_id: protobuf: answers carry the client's own message id.
        require_authorization: jsonline: every request after the log-in needs a bearer token.
        auth: qdatastream: what a registration needs besides an id.
        framing: qdatastream: how messages are told apart; "auto" = as each peer does it.
        presence: qdatastream: framed peers are sent PRESENCE.
        unframed_errors: qdatastream: unframed peers are sent ERROR, too.
        guard: jsonline: keys and rules, where messages may be signed or encrypted; None = off.
        nonces: jsonline: the server's, for what it encrypts.
        random_bytes: jsonline: makes the keys that sessions sign with.
        extensions: jsonline: commands and content types of other programs.
        private: the link is encrypted, so that a key may be sent.
    """

    wall_time: Callable[[], float]
    compression: bool = False
    echo_client_id: bool = False
    require_authorization: bool = False
    auth: Literal["none", "token", "password"] = "password"
    framing: Literal["auto", "int16", "none"] = "auto"
    presence: bool = False
    unframed_errors: bool = False
    guard: Guard | None = None
    nonces: Nonces | None = None
    random_bytes: Callable[[int], bytes] = os.urandom
    extensions: Extensions | None = None
    private: bool = False


class Door(enum.Enum):
    """How a format's frames are carried."""

    LINES = "lines over TCP"
    MESSAGES = "messages over TCP, with or without a length before each"
    BINARY_MESSAGES = "binary WebSocket messages"
    TEXT_MESSAGES = "text WebSocket messages"


class Format(Struct, frozen=True):
    """A wire format.

    Attributes:
        door: how it is carried.
        codec: makes the codec of one connection.
        negotiate: for formats to which the WebSocket handshake says something.
    """

    door: Door
    codec: Callable[[CodecOptions], ServerCodec]
    negotiate: Callable[[CodecOptions, Upgrade], Negotiated] | None = None


def _protobuf(options: CodecOptions) -> ServerCodec:
    return ProtobufServerCodec(options.wall_time, echo_client_id=options.echo_client_id)


def _jsonline(options: CodecOptions) -> ServerCodec:
    codec = JsonLineServerCodec(options.wall_time, options.extensions)
    if options.guard is not None:
        nonces = options.nonces or Nonces(options.random_bytes)
        security = SessionSecurity(options.guard, nonces, options.random_bytes, private=options.private)
        codec = SecuredJsonLineServerCodec(options.wall_time, security, options.extensions)
    return _authorized(codec, options)


def _chat_app(options: CodecOptions) -> ServerCodec:
    return _authorized(ChatAppServerCodec(options.wall_time, options.extensions), options)


def _authorized(codec: JsonLineServerCodec, options: CodecOptions) -> ServerCodec:
    if options.require_authorization:
        codec.traits = replace(codec.traits, requires_authorization=True)
    return codec


def _signalling(options: CodecOptions) -> ServerCodec:
    return SignallingServerCodec(options.wall_time)


def _negotiate_signalling(options: CodecOptions, upgrade: Upgrade) -> Negotiated:
    return negotiate(upgrade, options.wall_time)


def _meeting(options: CodecOptions) -> ServerCodec:
    return MeetingServerCodec()


def _negotiate_meeting(options: CodecOptions, upgrade: Upgrade) -> Negotiated:
    return meeting.negotiate(upgrade)


def _qdatastream(options: CodecOptions) -> QDataStreamServerCodec:
    return QDataStreamServerCodec(options.auth, presence=options.presence, errors=options.unframed_errors)


FORMATS = {
    "qdatastream": Format(Door.MESSAGES, _qdatastream),
    "protobuf": Format(Door.BINARY_MESSAGES, _protobuf),
    "jsonline": Format(Door.LINES, _jsonline),
    "jsonline/chat-app": Format(Door.LINES, _chat_app),
    "signalling": Format(Door.TEXT_MESSAGES, _signalling, _negotiate_signalling),
    "meeting": Format(Door.TEXT_MESSAGES, _meeting, _negotiate_meeting),
}
"""By format key; a dialect of a format has the format's key before its own."""
_STREAMS = frozenset({Door.LINES, Door.MESSAGES})


class UnknownFormat(Exception):
    """A format that is configured is not there; the text is one line with its key."""


def load_formats(places: Mapping[str, str]) -> dict[str, Format]:
    """All formats: the built-in ones, and those at "module:name" by their keys.

    Raises:
        UnknownFormat: one is not there, or is no format.
    """
    formats = dict(FORMATS)
    for key, place in places.items():
        module, _, name = place.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except Exception as error:
            # It is somebody else's program, and may fail in any way.
            raise UnknownFormat(f"formats.{key}: {place}: {type(error).__name__}: {error}") from None
        if not isinstance(found, Format) or found.door is Door.MESSAGES:
            raise UnknownFormat(f"formats.{key}: {place} is no format of lines or WebSocket messages")
        formats[key] = found
    return formats


def stream_factory(
    name: str, doors: Doors, options: CodecOptions, formats: Mapping[str, Format] = FORMATS
) -> ServerFactory:
    """The factory of a listener that speaks one format over plain TCP or TLS.

    Raises:
        ValueError: no such format, or one that is carried over WebSockets.
    """
    known = formats.get(name)
    if known is None or known.door not in _STREAMS:
        raise ValueError(f"{name} is not a format of stream listeners")
    if known.door is Door.MESSAGES:
        return QDataStreamFactory(
            doors,
            partial(_qdatastream, options),
            None if options.framing == "auto" else Framing(options.framing),
            token_required=options.auth == "token",
        )
    return JsonLineFactory(doors, partial(known.codec, options))


def websocket_factory(name: str, doors: Doors, options: CodecOptions) -> WebSocketFactory:
    """The factory of a WebSocket path (`imserver.http.site`).

    Raises:
        ValueError: no such format, or one that is not carried over WebSockets.
    """
    known = FORMATS.get(name)
    if known is None or known.door in _STREAMS:
        raise ValueError(f"{name} is not a format of WebSocket paths")
    return WebSocketFactory(
        doors,
        partial(known.codec, options),
        known.door is Door.BINARY_MESSAGES,
        None if known.negotiate is None else partial(known.negotiate, options),
        compression=options.compression,
    )
