"""HTTP requests with a bound on what they carry."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from imserver.http.answers import envelope, refusal
from imserver.http.file_bodies import UploadBody

MAX_BODY = 256 * 1024
"""Bytes of a request's body."""


class BoundedRequest(Request):
    """A request whose body is kept in memory and may not be large, or goes into an upload.

    Attributes:
        asker: the user who was found to ask, for the access log.
        upload_body: what takes the body instead of the memory.
    """

    asker = ""
    upload_body: UploadBody | None = None
    _body = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        """See Request: Twisted would keep a large one in a file."""
        self.content = BytesIO()
        channel: Any = self.channel
        if channel.streams():
            self._stream(channel)
            return
        if length is not None and length > MAX_BODY:
            self._too_large()

    def handleContentChunk(self, data: bytes) -> None:
        """See Request."""
        if self._refused:
            return
        if self.upload_body is not None:
            self.upload_body.received(data)
            return
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

    def _stream(self, channel: Any) -> None:
        """The body goes into an upload: looks at once whether it may."""
        site = channel.site
        reason = site.paths.forbidden(self)
        if reason is not None:
            self._answer_now(403, envelope(403, reason))
            return
        self.upload_body = channel.streamed = site.files.body(self, self._not_taken)
        if self._refused:
            self.upload_body.lost()

    def _not_taken(self, request: Request, error: Any) -> None:
        """What is still to come of the body need not be sent."""
        channel: Any = self.channel
        if not channel.body_complete:
            body = refusal(self, error)
            self._answer_now(self.code, body, self.responseHeaders)

    def finish(self) -> None:
        """See Request."""
        if self.upload_body is not None:
            self.upload_body.lost()  # unless it was made durable for this answer
        super().finish()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:
        """See Request."""
        if self.upload_body is not None:
            self.upload_body.lost()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self.producer = None  # which has this request

    def _too_large(self) -> None:
        self._answer_now(413, envelope(413, f"a request may have {MAX_BODY} bytes"))

    def _answer_now(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """Answers in the middle of the body, and ends the connection."""
        if self._refused:
            return
        self._refused = True
        self._body = MAX_BODY
        if self.upload_body is not None:
            self.upload_body.lost()
        transport: Any = self.channel.transport
        if transport is None or transport.disconnecting:
            return
        more = b""
        for name, values in headers.getAllRawHeaders() if headers is not None else ():
            if name.lower() not in (b"content-type", b"content-length", b"connection"):
                more += b"".join(b"%b: %b\r\n" % (name, value) for value in values)
        transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b"
            % (status, HTTPStatus(status).phrase.encode(), more, len(body), body)
        )
        if isinstance(transport, FileDescriptor):
            # Closing outright while the rest is still coming in would reset the connection,
            # and the answer could be lost with it. What comes is discarded for a while.
            transport.loseWriteConnection()
        else:
            self.channel.loseConnection()
