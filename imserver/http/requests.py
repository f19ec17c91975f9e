"""HTTP requests with a bound on what they carry."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.web.server import Request

from imserver.http.answers import envelope

MAX_BODY = 256 * 1024
"""Bytes of a request's body."""


class BoundedRequest(Request):
    """A request whose body is kept in memory and may not be large.

    Attributes:
        asker: the user who was found to ask, for the access log.
    """

    asker = ""
    _body = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        """See Request: Twisted would keep a large one in a file."""
        self.content = BytesIO()
        if length is not None and length > MAX_BODY:
            self._too_large()

    def handleContentChunk(self, data: bytes) -> None:
        """See Request."""
        self._body += len(data)
        if self._body <= MAX_BODY:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
        else:
            self._too_large()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """See Request: forms, which Twisted would parse here, are not read; one refused is not processed."""
        if self._refused:
            return
        self.content.seek(0)  # type: ignore[union-attr]
        self.args = {}
        self.method, self.uri, self.clientproto = command, path, version
        self.path = path.partition(b"?")[0]
        self.process()  # type: ignore[no-untyped-call]

    def _too_large(self) -> None:
        if self._refused:
            return
        self._refused = True
        self._body = MAX_BODY
        transport: Any = self.channel.transport
        if transport is None or transport.disconnecting:
            return
        body = envelope(413, f"a request may have {MAX_BODY} bytes")
        transport.write(
            b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
        )
        if isinstance(transport, FileDescriptor):
            # Closing outright while the rest is still coming in would reset the connection,
            # and the answer could be lost with it. What comes is discarded for a while.
            transport.loseWriteConnection()
        else:
            self.channel.loseConnection()
