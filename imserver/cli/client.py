"""A small blocking client over the wire codecs' client role."""

from __future__ import annotations

import select
import socket
import ssl
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from imserver.cli.channel import Channel, ChannelClosed, LineChannel
from imserver.cli.errors import REFUSED, UNREACHABLE, CommandError
from imserver.cli.websocket import WebSocketChannel
from imserver.model.accounts import Hello, LoggedIn, LogIn, Ping
from imserver.model.errors import ImError
from imserver.model.messages import Content, Form, InboxPage, SendMessage, SyncInbox
from imserver.wire.base import ClientCodec, Upgrade, WireError

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0


class Format(Struct, frozen=True):
    """How a wire format is reached.

    Attributes:
        port / path: where the server has it by default.
        password: whether one can log in by password; else by token only.
    """

    port: int
    path: str
    password: bool


FORMATS = {
    "jsonline": Format(8088, "", True),
    "protobuf": Format(8081, "/ws", False),
    "signalling": Format(8080, "/ws", False),
}


class Address(Struct, frozen=True):
    """Where a server listens; `tls`: a context to check its certificate with."""

    host: str
    port: int
    path: str = ""
    tls: ssl.SSLContext | None = None


class Client:
    """One logged-in connection.

    Attributes:
        events: what was pushed and not yet taken.
    """

    def __init__(
        self, channel: Channel, link: socket.socket, codec: ClientCodec, new_tag: Callable[[], Any]
    ) -> None:
        self._channel = channel
        self._link = link
        self._codec = codec
        self._new_tag = new_tag
        self.events: deque[Any] = deque()
        self._answers: dict[Any, Any] = {}

    def fileno(self) -> int:
        """For select; ask `waiting` first."""
        return self._channel.fileno()

    @property
    def waiting(self) -> bool:
        """Whether something has come that select does not see."""
        return bool(self.events) or (isinstance(self._link, ssl.SSLSocket) and self._link.pending() > 0)

    def request(self, command: Any) -> Any:
        """Sends a command and waits for its reply.

        Raises:
            ImError: it was refused.
            CommandError: the connection ended, or this format cannot carry the command.
        """
        tag = self.post(command)
        deadline = time.monotonic() + ANSWER_SECONDS
        while tag not in self._answers:
            if not self.read(deadline - time.monotonic()):
                raise CommandError(UNREACHABLE, f"no answer in {ANSWER_SECONDS:g} s")
        reply = self._answers.pop(tag)
        self._answers.clear()
        if isinstance(reply, ImError):
            raise reply
        return reply

    def post(self, command: Any) -> Any:
        """Sends a command without waiting; returns its tag."""
        tag = self._new_tag()
        try:
            frame = self._codec.request(command, tag)
        except ValueError as error:
            raise CommandError(REFUSED, str(error), "UNKNOWN_COMMAND") from None
        try:
            self._channel.send(frame)
        except OSError as error:
            raise lost(error) from None
        return tag

    def read(self, seconds: float) -> bool:
        """Reads what comes, at most once; False if nothing came in time."""
        if seconds <= 0:
            return False
        try:
            self._link.settimeout(seconds)
            frames = self._channel.receive()
        except TimeoutError:
            return False
        except (ChannelClosed, OSError) as error:
            raise lost(error) from None
        finally:
            self._link.settimeout(ANSWER_SECONDS)
        for frame in frames:
            try:
                tag, value = self._codec.decode(frame)
            except WireError as error:
                raise CommandError(UNREACHABLE, f"the server cannot be understood: {error.text}") from None
            if tag is not None:
                self._answers[tag] = value
            elif value is not None:
                self.events.append(value)
        return True

    def ready(self) -> bool:
        """Whether bytes are there to be read now."""
        return self.waiting or bool(select.select([self], [], [], 0)[0])

    def ping(self) -> None:
        """Keeps the connection alive; the answer is dropped with the next request's."""
        self.post(Ping(time.time()))

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


def lost(error: Exception) -> CommandError:
    """The connection is gone, or never was."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return CommandError(UNREACHABLE, reason)


def log_in(format: str, address: Address, command: LogIn) -> tuple[Client, LoggedIn]:
    """Connects and logs in.

    Raises:
        CommandError: nobody is there, or the log-in was refused.
    """
    try:
        link = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
        if address.tls is not None:
            link = address.tls.wrap_socket(link, server_hostname=address.host)
    except OSError as error:
        where = f"{address.host}:{address.port}"
        raise CommandError(UNREACHABLE, f"{where}: {lost(error).text}") from None
    client: Client | None = None
    try:
        client, logged_in = _LOG_INS[format](link, address, command)
    except (ChannelClosed, OSError) as error:
        raise lost(error) from None
    except ImError as error:
        raise CommandError(REFUSED, error.text, error.code.value) from None
    finally:
        if client is None:
            link.close()
    return client, logged_in


def message(text: str, to: str, group: str) -> SendMessage:
    """A text for a user or a group."""
    content = Content(Form.TEXT, text.encode("utf-8", "replace"))
    return SendMessage(content, recipient=to, group=group, client_id=uuid.uuid4().hex, sent_at=time.time())


def missed(client: Client, format: str, logged_in: LoggedIn, limit: int) -> None:
    """Where clients fetch what they missed themselves: the last messages of the inbox, as an event."""
    if format == "protobuf" and logged_in.head:
        page = client.request(SyncInbox(after=max(0, logged_in.head - limit), limit=limit))
        if isinstance(page, InboxPage) and page.rows:
            client.events.append(page)


def _jsonline(link: socket.socket, address: Address, command: LogIn) -> tuple[Client, LoggedIn]:
    from imserver.wire.jsonline import JsonLineClientCodec

    client = Client(LineChannel(link), link, JsonLineClientCodec(time.time), lambda: uuid.uuid4().hex)
    return client, client.request(command)


def _protobuf(link: socket.socket, address: Address, command: LogIn) -> tuple[Client, LoggedIn]:
    from imserver.wire.protobuf import ProtobufClientCodec

    channel = WebSocketChannel(link, _host(address), address.path, Upgrade(), binary=True)
    client = Client(channel, link, ProtobufClientCodec(time.time), _Counter())
    client.request(Hello(client_id=command.device, platform=command.platform))
    return client, client.request(command)


def _signalling(link: socket.socket, address: Address, command: LogIn) -> tuple[Client, LoggedIn]:
    from imserver.wire.signalling import SignallingClientCodec

    codec = SignallingClientCodec(time.time)
    channel = WebSocketChannel(link, _host(address), address.path, codec.upgrade(command), binary=False)
    client = Client(channel, link, codec, _Counter())
    deadline = time.monotonic() + ANSWER_SECONDS
    while not client.events:
        if not client.read(deadline - time.monotonic()):
            raise CommandError(UNREACHABLE, f"no answer in {ANSWER_SECONDS:g} s")
    logged_in = client.events.popleft()
    if not isinstance(logged_in, LoggedIn):
        raise CommandError(UNREACHABLE, "the server did not begin with connect")
    return client, logged_in


_LOG_INS: dict[str, Callable[[socket.socket, Address, LogIn], tuple[Client, LoggedIn]]] = {
    "jsonline": _jsonline,
    "protobuf": _protobuf,
    "signalling": _signalling,
}


class _Counter:
    """1, 2, 3, …"""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last += 1
        return self._last


def _host(address: Address) -> str:
    name = f"[{address.host}]" if ":" in address.host else address.host
    return f"{name}:{address.port}"
