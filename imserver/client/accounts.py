"""Who logs in, and where tokens come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer
from twisted.web.http_headers import Headers

from imserver.client.http import refusal
from imserver.client.links import reason_of
from imserver.model.accounts import LogIn
from imserver.model.errors import ErrorCode, ImError

LOG_IN_PATH = "/api/auth/login"
ANSWER_SECONDS = 30.0

TokenSource = Callable[[], Awaitable[str]]


class Credentials(Struct, frozen=True):
    """What to log in with.

    Attributes:
        token: a token, or what fetches one for each connection; "" = by password, or by the
            user's word alone (document 000).
        device: has a cursor of its own; one client at a time should bear it.
    """

    user: str
    password: str = ""
    token: str | TokenSource = ""
    device: str = ""
    platform: str = "python"

    async def log_in(self) -> LogIn:
        """The command.

        Raises:
            ImError: no token could be had.
        """
        token = self.token if isinstance(self.token, str) else await self.token()
        return LogIn(
            user=self.user,
            token=token,
            password="" if token else self.password,
            platform=self.platform,
            device=self.device,
            unproven=not (token or self.password),
        )


def log_in_url(websocket_url: str) -> str:
    """Where the REST interface beside a WebSocket is asked for tokens."""
    parts = urlsplit(websocket_url)
    scheme = "https" if parts.scheme == "wss" else "http"
    return urlunsplit((scheme, parts.netloc, LOG_IN_PATH, "", ""))


class _Body(Protocol):
    """Collects an answer's body; a body that ends early is what came of it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.whole: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        if not self.whole.called:
            self.whole.callback(b"".join(self._pieces))


async def token_by_password(reactor: Any, url: str, user: str, password: str) -> str:
    """Logs in over REST, for the formats that take tokens only.

    Raises:
        ImError: refused; UNAVAILABLE if nobody answers there.
    """
    body = msgspec.json.encode({"username": user, "password": password, "platform": "python"})
    headers = Headers({"Content-Type": ["application/json"]})
    try:
        agent = Agent(reactor, connectTimeout=ANSWER_SECONDS)
        response = await agent.request(b"POST", url.encode(), headers, FileBodyProducer(BytesIO(body)))
        body_reader = _Body()
        response.deliverBody(body_reader)
        data = await body_reader.whole.addTimeout(ANSWER_SECONDS, reactor)
    except Exception as error:
        raise ImError(ErrorCode.UNAVAILABLE, f"{url}: {reason_of(error)}") from None
    if response.code != 200:
        raise refusal(response.code, data, f"{url}: HTTP status {response.code}")
    try:
        token: str = msgspec.json.decode(data)["data"]["token"]
    except (msgspec.MsgspecError, LookupError, TypeError):
        raise ImError(ErrorCode.UNAVAILABLE, f"{url}: this is no answer to a log-in") from None
    return token
