"""`connect`: from an address to a client that is logged in."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from random import Random, SystemRandom
from typing import Any, Literal

from twisted.internet.interfaces import IStreamClientEndpoint

from imserver.client.accounts import Credentials, TokenSource, log_in_url, token_by_password
from imserver.client.client import Client
from imserver.client.delivery import OnMessage
from imserver.client.formats import FORMATS
from imserver.client.inbox import Position
from imserver.client.links import Link, Receiver, dial_stream, endpoint_of
from imserver.client.websocket import dial_websocket, websocket_endpoint
from imserver.wire.base import Upgrade

FormatName = Literal["qdatastream", "protobuf", "signalling", "signalling+msgpack", "jsonline"]


async def connect(
    format: FormatName,
    address: str,
    user: str,
    *,
    password: str = "",
    token: str | TokenSource = "",
    device: str = "",
    position: Position | None = None,
    on_message: OnMessage | None = None,
    on_event: Callable[[Any], None] | None = None,
    queue: int = 1000,
    login_url: str = "",
    endpoint: IStreamClientEndpoint | None = None,
    reactor: Any = None,
    wall_time: Callable[[], float] = time.time,
    random: Random | None = None,
) -> Client:
    """Connects, logs in, and stays connected until `Client.close()`.

    Args:
        format: what to speak; "signalling+msgpack" is document 002 in MessagePack.
        address: a Twisted client endpoint string for "qdatastream" and "jsonline"
            (``tcp:127.0.0.1:8088``, ``tls:im.example.org:8089``), a ws:// or wss:// URL for the others.
        password / token: one of them, or neither where a document 000 listener takes a user's word.
            The formats over WebSockets take tokens only: there a password is exchanged for one
            at `login_url`, before each connection. A token may also be what fetches one.
        device: the name under which the server keeps this client's cursor; one client at a
            time should bear it.
        position: where to go on in the inbox; None = with what the server has for this device
            and, for "protobuf", where the client fetches everything itself, from the beginning.
        queue: messages that may wait for the program, and sends for their answers.
        login_url: "" = /api/auth/login beside the WebSocket.
        endpoint: how to reach the address, where more is needed than it says (a proxy, other roots).
        reactor / wall_time / random: handed in by tests; None = the global reactor, the system's randomness.

    Raises:
        ImError: nobody answers there (UNAVAILABLE), or the log-in was refused.
    """
    if reactor is None:
        from twisted.internet import reactor
    chosen = FORMATS[format]
    if chosen.stream is not None:
        dial = partial(_dial_stream, endpoint or endpoint_of(reactor, address), chosen.stream)
    else:
        way = endpoint or websocket_endpoint(reactor, address)
        dial = partial(_dial_websocket, reactor, way, address, chosen.binary)
        if password and not token and not chosen.passwords:
            token = partial(token_by_password, reactor, login_url or log_in_url(address), user, password)
    client = Client(
        chosen,
        dial,
        Credentials(user, "" if token else password, token, device),
        reactor,
        wall_time,
        random or SystemRandom(),
        position=position,
        on_message=on_message,
        on_event=on_event,
        queue=queue,
    )
    await client.start()
    return client


async def _dial_stream(
    endpoint: IStreamClientEndpoint, kind: Any, receiver: Receiver, upgrade: Upgrade
) -> Link:
    return await dial_stream(endpoint, kind, receiver)


async def _dial_websocket(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    url: str,
    binary: bool,
    receiver: Receiver,
    upgrade: Upgrade,
) -> Link:
    return await dial_websocket(reactor, endpoint, url, upgrade, binary, receiver)
