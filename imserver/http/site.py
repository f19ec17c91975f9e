"""The HTTP site: WebSockets at configured paths, REST, a JSON answer for everything else.

Query strings are never logged: they may hold tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from imserver.http.answers import json_answer
from imserver.http.api import Api
from imserver.http.file_bodies import UploadBody
from imserver.http.files import FileSite
from imserver.http.requests import BoundedRequest
from imserver.http.rules import Rule
from imserver.protocols.connections import Admission
from imserver.protocols.doors import Doors, host_of
from imserver.protocols.proxy import Trusted, client_address
from imserver.protocols.websocket import WebSocketFactory, WebSocketProtocol

_access = Logger(namespace="imserver.access")


class _Admitted:
    """A WebSocket factory for one connection that was counted when it came, as HTTP."""

    def __init__(self, factory: WebSocketFactory, channel: Channel) -> None:
        self._factory = factory
        self._channel = channel

    def buildProtocol(self, peer: Any) -> WebSocketProtocol:
        """Called by WebSocketResource."""
        protocol = self._factory.build(self._channel.admission)
        self._channel.hand_over(protocol)
        return protocol


class Paths(Resource):
    """Everything below the root: WebSockets at their paths, REST where it is served, 404 elsewhere.

    Every request passes the rules first.
    """

    isLeaf = True

    def __init__(
        self,
        sockets: Mapping[str, WebSocketFactory],
        rules: Sequence[Rule],
        api: Api | None,
        proxied: bool,
        trusted: Trusted | None,
        files: FileSite | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._api = api
        self._files = files
        self._proxied = proxied
        self._trusted = trusted
        self._sockets = {path.encode(): factory for path, factory in sockets.items()}
        self._rules = rules

    def render(self, request: Request) -> bytes | int:
        """See IResource."""
        reason = self.forbidden(request)
        if reason is not None:
            return self._refuse(request, 403, reason)
        files = self._files
        if files is not None and files.serves(request.method, request.path):
            return files.render(request)
        factory = self._sockets.get(request.path)
        if factory is None and self._api is not None and self._api.serves(request.path):
            return self._api.render(request, proxied=self._proxied)
        if factory is None:
            return self._refuse(request, 404, "there is nothing here")
        if request.method != b"GET":
            request.setHeader(b"allow", b"GET")
            return self._refuse(request, 405, "only GET, to open a WebSocket")
        upgrades = b",".join(request.requestHeaders.getRawHeaders(b"upgrade") or ())
        if b"websocket" not in [name.strip().lower() for name in upgrades.split(b",")]:
            request.setHeader(b"upgrade", b"websocket")
            return self._refuse(request, 426, "a WebSocket is spoken here")
        channel = request.channel
        assert isinstance(channel, Channel)
        if self._trusted is not None and not channel.admission.move(host_of(request.getClientAddress())):
            return self._refuse(request, 429, "too many connections that have not logged in")
        answer: bytes | int = WebSocketResource(_Admitted(factory, channel)).render(request)
        channel.handed_over()
        return answer

    def forbidden(self, request: Request) -> str | None:
        """Why a request is not let in; None if it is."""
        if self._trusted is not None:
            reason = self._believe(request, self._trusted)
            if reason is not None:
                return reason
        for rule in self._rules:
            reason = rule(request)
            if reason is not None:
                return reason
        return None

    @staticmethod
    def _believe(request: Request, trusted: Trusted) -> str | None:
        """Makes the client that the proxy names the request's; why not, if it cannot be."""
        values = request.requestHeaders.getRawHeaders(b"x-forwarded-for") or []
        peer = host_of(request.channel.getPeer())
        try:
            client = trusted.client_of(peer, [value.decode("latin-1") for value in values])
        except ValueError:
            return "X-Forwarded-For of a trusted proxy is needed"
        # The port is not known.
        request.client = client_address(client, 0)
        return None

    def _refuse(self, request: Request, status: int, message: str) -> bytes:
        # Whoever wanted an upgrade has nothing more to say on this connection.
        request.channel.persistent = False
        request.setHeader(b"connection", b"close")
        return json_answer(request, status, message)


class Channel(HTTPChannel):
    """An HTTP connection, until a WebSocket takes it over.

    Attributes:
        admission: its place in the counts of connections.
        site: the factory.
        streamed: what takes the body of the request that comes in.
        body_complete: the whole request came in.
        wheel_slot: the wheel's.
    """

    transport: Any
    admission: Admission
    doors: Doors
    wheel_slot = -1
    site: ImSite
    streamed: UploadBody | None = None
    body_complete = False
    _successor: WebSocketProtocol | None = None
    _since = 0.0
    _serving = False

    def connectionMade(self) -> None:
        """See IProtocol."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        self._await_request()

    def streams(self) -> bool:
        """Whether the body of the request whose head is complete goes into an upload."""
        files = self.site.files
        path = self._path.partition(b"?")[0]
        return files is not None and files.streams(self._command, path)

    def _await_request(self) -> None:
        self._serving = self.body_complete = False
        self.streamed = None
        self._since = self.doors.clock.seconds()
        self.doors.wheel.watch(self, self._since + self.doors.limits.handshake_time)

    def allContentReceived(self) -> None:
        """See HTTPChannel: a request is complete."""
        self._serving = self.body_complete = True
        super().allContentReceived()  # type: ignore[no-untyped-call]

    def requestDone(self, request: Request) -> None:
        """See HTTPChannel: it was answered."""
        super().requestDone(request)  # type: ignore[no-untyped-call]
        self._await_request()

    def check(self, now: float) -> float | None:
        """See liveness.Watched: a request has to be complete some time."""
        body = self.streamed
        if body is not None and not self._serving and self.transport is not None:
            limits = self.doors.limits
            if body.waits or now - body.moved < limits.silence:
                return now + limits.check_interval
        if not self._serving and self._successor is None and self.transport is not None:
            self.transport.abortConnection()
        return None

    def hand_over(self, successor: WebSocketProtocol) -> None:
        """A WebSocket takes the connection."""
        self._successor = successor
        self.doors.wheel.forget(self)

    def handed_over(self) -> None:
        """The request that asked for it is over, so that it and the channel are freed at once."""
        if self._successor is not None:
            self.requests.clear()

    def rawDataReceived(self, data: bytes) -> None:
        """See HTTPChannel. What came glued to the upgrade belongs to the WebSocket."""
        if self._successor is not None:
            self._successor.dataReceived(data)
        else:
            super().rawDataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.doors.wheel.forget(self)
        self.admission.release()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        # Of a body that ends in the middle: it has the channel.
        self._transferDecoder = None


class ImSite(Site):
    """The factory of an HTTP listener."""

    noisy = False
    protocol: Any = Channel
    requestFactory: Any = BoundedRequest

    def __init__(
        self,
        doors: Doors,
        sockets: Mapping[str, WebSocketFactory],
        rules: Sequence[Rule] = (),
        api: Api | None = None,
        *,
        proxied: bool = False,
        trusted: Trusted | None = None,
        access_log: bool = False,
        files: FileSite | None = None,
    ) -> None:
        """Args:
        sockets: the WebSocket factory of each path, e.g. "/ws".
        rules: what every request has to pass (`imserver.http.rules`); 403 otherwise.
        api: REST, where it is served.
        proxied: a proxy stands in front: the peer's address proves nothing.
        trusted: the proxies that stand in front and say whose each request is (X-Forwarded-For).
        files: files, where they are served.
        access_log: log every request that was answered.
        """
        self.files = files
        self.paths = Paths(sockets, rules, api, proxied, trusted, files)
        super().__init__(  # type: ignore[no-untyped-call]
            self.paths,
            requestFactory=BoundedRequest,
            reactor=doors.clock,
            timeout=None,
        )
        self._doors = doors
        self._trusted = trusted
        self._access_log = access_log

    def acceptableProtocols(self) -> list[bytes]:
        """See IProtocolNegotiationFactory: WebSockets need HTTP/1.1."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> Channel | None:  # type: ignore[override]
        """See IProtocolFactory; None (the connection is closed) where there is no room."""
        proxy = self._trusted is not None and host_of(addr) in self._trusted
        admission = self._doors.admit(addr, proxy=proxy)
        if admission is None:
            return None
        channel = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        assert isinstance(channel, Channel)
        channel.admission = admission
        channel.doors = self._doors
        return channel

    def startFactory(self) -> None:
        """See Site: there is no access log, so it needs no clock for one."""

    def stopFactory(self) -> None:
        """See Site."""

    def log(self, request: Any) -> None:
        """See Site."""
        if self._access_log:
            _access.info(
                "{method} {path} {status}",
                method=request.method.decode("latin-1"),
                path=request.path.decode("latin-1"),
                status=request.code,
                bytes=request.sentLength,
                address=host_of(request.getClientAddress()),
                user=request.asker,
            )
