"""Asks other servers by HTTP whether they are well."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

import imserver
from imserver.services.media_servers import ProbeError

_HEADERS = Headers({"User-Agent": [f"imserver/{imserver.__version__}"], "Accept": ["*/*"]})


class _Body(Protocol):
    """Reads an answer to its end and keeps nothing of it."""

    def __init__(self) -> None:
        self.read: Deferred[None] = Deferred(self._cancel)

    def _cancel(self, read: Deferred[None]) -> None:
        transport: Any = self.transport
        transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        if self.read.called:
            return
        # Without a length the end of the connection is the end of the answer; else it came too early.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.read.callback(None)
        else:
            self.read.errback(reason)


class HttpProbe:
    """A `services.media_servers.Probe`: GET, 2xx is well. Redirections are not followed.

    Certificates of https are checked against the system's authorities, or those of SSL_CERT_FILE.
    """

    def __init__(self, reactor: Any) -> None:
        # A new connection every time: an old one says nothing of who can still be reached.
        self._agent = Agent(reactor)

    async def __call__(self, url: str) -> None:
        """See Probe."""
        try:
            response = await self._agent.request(b"GET", url.encode(), _HEADERS)
            body = _Body()
            response.deliverBody(body)
            await body.read
        except CancelledError:
            raise
        except Exception as error:
            raise ProbeError(_words(error)) from None
        if not 200 <= response.code < 300:
            raise ProbeError(f"it answers with status {response.code}")


def _words(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, VerificationError):
        return "TLS: its certificate is for another name"
    if isinstance(error, SSL.Error):
        told = error.args[0] if error.args and isinstance(error.args[0], list) else []
        return "TLS: " + (", ".join(str(one[-1]) for one in told) or "the handshake failed")
    # Twisted packs what happened to a connection into what happened to the request.
    reasons = getattr(error, "reasons", None)
    if reasons:
        return _words(reasons[-1].value)
    return " ".join(str(error).split()) or type(error).__name__
