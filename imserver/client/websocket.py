"""Frames as WebSocket messages, by Autobahn."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from txaio.tx import make_logger

from imserver.client.http import refusal
from imserver.client.links import MAX_FRAME, Link, Receiver, reason_of
from imserver.model.errors import ErrorCode, ImError
from imserver.wire.base import Upgrade

HANDSHAKE_SECONDS: Final = 30.0


class WebSocketLink(WebSocketClientProtocol):
    """One WebSocket; see `links.Link`."""

    transport: Any
    log: Any = make_logger("critical")  # type: ignore[no-untyped-call]

    def __init__(self, receiver: Receiver, binary: bool) -> None:
        super().__init__()
        self._receiver = receiver
        self._binary = binary
        self._refused: ImError | None = None
        self.opened: Deferred[None] = Deferred()

    # Autobahn's side

    def onOpen(self) -> None:
        """See Autobahn."""
        if not self.opened.called:
            self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """See Autobahn."""
        self._receiver.received(payload)

    def failHandshake(self, reason: str) -> None:
        """See Autobahn: the server refused, or is none."""
        status = str(getattr(self, "http_status_line", "")).split()[1:2]
        code = int(status[0]) if status and status[0].isdecimal() else 0
        self._refused = refusal(code, bytes(self.data).partition(b"\r\n\r\n")[2], reason)
        super().failHandshake(reason)  # type: ignore[no-untyped-call]

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """See Autobahn."""
        text = reason or "the connection was closed"
        if not self.opened.called:
            self.opened.errback(self._refused or ImError(ErrorCode.UNAVAILABLE, text))
        else:
            self._receiver.lost(text)

    # links.Link

    def send(self, frame: bytes) -> None:
        """See Link."""
        # After a goodbye of either side the connection is as good as gone, which is told soon.
        if self.state == self.STATE_OPEN:
            self.sendMessage(frame, isBinary=self._binary)  # type: ignore[no-untyped-call]

    def pause(self) -> None:
        """See Link."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        """See Link."""
        self.transport.resumeProducing()

    def close(self) -> None:
        """See Link."""
        self.transport.resumeProducing()
        self.sendClose(1000)

    def abort(self) -> None:
        """See Link."""
        self.transport.abortConnection()


def websocket_endpoint(reactor: Any, url: str) -> IStreamClientEndpoint:
    """Where a ws:// or wss:// URL leads; wss checks the certificate against the system's roots.

    Raises:
        ImError: BAD_REQUEST if it is neither.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("ws", "wss") or not host:
        raise ImError(ErrorCode.BAD_REQUEST, f"{url!r} is no ws:// or wss:// URL")
    if parts.scheme == "ws":
        return HostnameEndpoint(reactor, host, port or 80)
    return wrapClientTLS(optionsForClientTLS(host), HostnameEndpoint(reactor, host, port or 443))


async def dial_websocket(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    url: str,
    upgrade: Upgrade,
    binary: bool,
    receiver: Receiver,
) -> Link:
    """Connects and shakes hands.

    Raises:
        ImError: UNAVAILABLE if nobody answers there; what the server refused it with.
    """
    parts = urlsplit(url)
    query = [(name, value) for name, values in upgrade.query.items() for value in values]
    if query:
        joined = "&".join(filter(None, (parts.query, urlencode(query))))
        url = urlunsplit(parts._replace(query=joined))
    headers = {"Authorization": upgrade.authorization} if upgrade.authorization else {}
    factory = WebSocketClientFactory(
        url, protocols=list(upgrade.subprotocols), headers=headers, useragent="imserver", reactor=reactor
    )
    factory.noisy = False
    factory.setProtocolOptions(
        failByDrop=False,
        maxMessagePayloadSize=MAX_FRAME,
        maxFramePayloadSize=MAX_FRAME,
        # The client keeps the time itself, with the clock it was handed.
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
        serverConnectionDropTimeout=0,
        autoPingInterval=0,
        tcpNoDelay=True,
    )
    factory.protocol = lambda: WebSocketLink(receiver, binary)  # type: ignore[assignment]
    try:
        link: Any = await endpoint.connect(factory)
    except Exception as error:
        raise ImError(ErrorCode.UNAVAILABLE, reason_of(error)) from None
    try:
        await link.opened.addTimeout(HANDSHAKE_SECONDS, reactor)
    except ImError:
        raise
    except Exception:
        link.abort()
        raise ImError(ErrorCode.UNAVAILABLE, "the WebSocket handshake was not answered") from None
    opened: Link = link
    return opened
