"""The formats and their doors: a new one is a codec and a line here."""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.protocol import ServerFactory

from imserver.protocols.doors import Doors
from imserver.protocols.jsonline import JsonLineFactory
from imserver.protocols.websocket import WebSocketFactory
from imserver.wire.base import Negotiated, ServerCodec, Upgrade
from imserver.wire.jsonline import JsonLineServerCodec
from imserver.wire.protobuf import ProtobufServerCodec
from imserver.wire.signalling import SignallingServerCodec, negotiate


class CodecOptions(Struct, frozen=True):
    """What a listener may set for its codec.

    Attributes:
        wall_time: the server's clock, float seconds since the epoch.
        echo_client_id: protobuf: answers carry the client's own message id.
        require_authorization: jsonline: every request after the log-in needs a bearer token.
    """

    wall_time: Callable[[], float]
    echo_client_id: bool = False
    require_authorization: bool = False


class Door(enum.Enum):
    """How a format's frames are carried."""

    LINES = "lines over TCP"
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
    codec = JsonLineServerCodec(options.wall_time)
    if options.require_authorization:
        codec.traits = replace(codec.traits, requires_authorization=True)
    return codec


def _signalling(options: CodecOptions) -> ServerCodec:
    return SignallingServerCodec(options.wall_time)


def _negotiate_signalling(options: CodecOptions, upgrade: Upgrade) -> Negotiated:
    return negotiate(upgrade, options.wall_time)


FORMATS = {
    "protobuf": Format(Door.BINARY_MESSAGES, _protobuf),
    "jsonline": Format(Door.LINES, _jsonline),
    "signalling": Format(Door.TEXT_MESSAGES, _signalling, _negotiate_signalling),
}
"""By format key."""


def stream_factory(name: str, doors: Doors, options: CodecOptions) -> ServerFactory:
    """The factory of a listener that speaks one format over plain TCP or TLS.

    Raises:
        ValueError: no such format, or one that is carried over WebSockets.
    """
    known = FORMATS.get(name)
    if known is None or known.door is not Door.LINES:
        raise ValueError(f"{name} is not a format of stream listeners")
    return JsonLineFactory(doors, partial(known.codec, options))


def websocket_factory(name: str, doors: Doors, options: CodecOptions) -> WebSocketFactory:
    """The factory of a WebSocket path (`imserver.http.site`).

    Raises:
        ValueError: no such format, or one that is not carried over WebSockets.
    """
    known = FORMATS.get(name)
    if known is None or known.door is Door.LINES:
        raise ValueError(f"{name} is not a format of WebSocket paths")
    return WebSocketFactory(
        doors,
        partial(known.codec, options),
        known.door is Door.BINARY_MESSAGES,
        None if known.negotiate is None else partial(known.negotiate, options),
    )
