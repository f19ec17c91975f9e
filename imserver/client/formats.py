"""What a client must know of each format: how to log in, to send, and to fetch what it missed."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable

from msgspec import Struct
from twisted.internet.task import deferLater

from imserver.client.connection import Connection, ConnectionGone
from imserver.client.links import Int16Link, LineLink, StreamLink
from imserver.model.accounts import Hello, LoggedIn, LogIn, Ping
from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import MessageAccepted, SendMessage
from imserver.wire.base import ClientCodec, Upgrade
from imserver.wire.jsonline import JsonLineClientCodec
from imserver.wire.jsonline.client import SendFailed
from imserver.wire.protobuf import ProtobufClientCodec
from imserver.wire.protobuf.answers import SyncFinished
from imserver.wire.qdatastream import QDataStreamClientCodec
from imserver.wire.signalling import SignallingClientCodec

RETRY_SECONDS = 1.0


class Catching(enum.Enum):
    """How a client gets what it missed."""

    NO = enum.auto()
    """Not at all: the server sends what it did not deliver, and that is that (000)."""
    BACKLOG = enum.auto()
    """The server sends what the device did not acknowledge; the rest is read as history."""
    HISTORY = enum.auto()
    """Likewise, but what the server takes for delivered is not known: history is always read."""
    SYNC = enum.auto()
    """The client fetches everything itself (001)."""


class ClientFormat(Struct, frozen=True):
    """One format.

    Attributes:
        codec: makes a connection's codec, with the wall clock in float seconds.
        log_in: does it on a new connection.
        stream: how its frames are cut on TCP; None: it is carried over WebSockets.
        binary: of WebSocket messages.
        upgrade: what the WebSocket handshake says, where it logs in.
        passwords: the log-in takes them; else only tokens.
        texts_only: messages have neither ids nor numbers, sends have no answers.
        ids: tags are ids for ever, and a send's is its client id.
        acks: handled messages are acknowledged.
        unsaid: events that are none to a program.
        window: sends that may wait for their answers.
    """

    codec: Callable[[Callable[[], float]], ClientCodec]
    log_in: Callable[[Connection, LogIn], Awaitable[LoggedIn]]
    catching: Catching
    stream: type[StreamLink] | None = None
    binary: bool = False
    upgrade: Callable[[ClientCodec, LogIn], Upgrade] | None = None
    passwords: bool = True
    texts_only: bool = False
    ids: bool = False
    acks: bool = True
    unsaid: tuple[type, ...] = ()
    window: int = 64


async def _by_request(connection: Connection, command: LogIn) -> LoggedIn:
    reply: LoggedIn = await connection.ask(command)
    return reply


async def _protobuf(connection: Connection, command: LogIn) -> LoggedIn:
    await connection.ask(Hello(client_id=command.device, platform=command.platform))
    return await _by_request(connection, command)


async def _signalling(connection: Connection, command: LogIn) -> LoggedIn:
    # The handshake logged in; the first message says so.
    reply: LoggedIn = await connection.first_event()
    return reply


async def _qdatastream(connection: Connection, command: LogIn) -> LoggedIn:
    if command.password:
        return await _by_request(connection, command)
    # A good registration has no answer: the echo of a heartbeat behind it is one.
    refusals = connection.refusals = []
    try:
        connection.post(command, tagged=False)
        await connection.ask(Ping())
    except ConnectionGone:
        if refusals:
            raise refusals[0] from None
        raise
    finally:
        connection.refusals = None
    return LoggedIn(command.user, "", "", 0, 0, 0, "")


async def send_text(connection: Connection, command: SendMessage) -> MessageAccepted:
    """Document 000: a TEXT has no answer, but a heartbeat behind it is echoed once it is durable.

    What was refused is told before the echo.
    """
    refusals = connection.refusals = []
    try:
        connection.post(command)
        while True:
            try:
                await connection.ask(Ping())
                break
            except ConnectionGone:
                raise
            except ImError as error:
                if error.code is not ErrorCode.TOO_FAST:
                    raise
            await deferLater(connection.clock, RETRY_SECONDS)
    finally:
        connection.refusals = None
    if refusals:
        raise refusals[0]
    return MessageAccepted("", "", 0, 0.0)


def _upgrade(codec: ClientCodec, command: LogIn) -> Upgrade:
    assert isinstance(codec, SignallingClientCodec)
    return codec.upgrade(command)


def _signalling_format(binary: bool) -> ClientFormat:
    return ClientFormat(
        lambda wall_time: SignallingClientCodec(wall_time, binary=binary),
        _signalling,
        Catching.HISTORY,
        binary=binary,
        upgrade=_upgrade,
        passwords=False,
    )


FORMATS = {
    "jsonline": ClientFormat(
        JsonLineClientCodec, _by_request, Catching.BACKLOG, LineLink, ids=True, unsaid=(SendFailed,)
    ),
    "protobuf": ClientFormat(
        ProtobufClientCodec,
        _protobuf,
        Catching.SYNC,
        binary=True,
        passwords=False,
        unsaid=(SyncFinished,),
    ),
    "signalling": _signalling_format(False),
    "signalling+msgpack": _signalling_format(True),
    "qdatastream": ClientFormat(
        lambda wall_time: QDataStreamClientCodec(),
        _qdatastream,
        Catching.NO,
        Int16Link,
        texts_only=True,
        acks=False,
        window=1,
    ),
}
"""By name; "signalling+msgpack" is document 002 in MessagePack."""
