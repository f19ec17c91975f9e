"""A file as the body of an answer, whole or a range of it, read as the peer takes it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.web.server import Request
from zope.interface import implementer

from imserver.http.answers import Refused, head
from imserver.model.errors import ImError
from imserver.protocols.doors import Doors
from imserver.services.file_channels import Download
from imserver.services.files import Files

READ_BYTES = 256 * 1024
"""Bytes read from the disk at a time."""
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})", re.ASCII)


def range_of(request: Request, size: int, etag: bytes) -> tuple[int, int] | None:
    """(first, last + 1) of the Range that is asked for; None = everything.

    Several ranges, other units and a Range that is for another version are answered with everything, as
    RFC 9110 allows.

    Raises:
        Refused: 416 for a range that holds none of the file's bytes.
    """
    values = request.requestHeaders.getRawHeaders(b"range") or []
    found = _RANGE.fullmatch(values[0].decode("latin-1").replace(" ", "")) if len(values) == 1 else None
    if found is None or found[0] == "bytes=-":
        return None
    condition = request.requestHeaders.getRawHeaders(b"if-range")
    if condition and condition[0].strip() != etag:
        return None
    first, last = found[1], found[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise Refused(416, "the range is beyond the file", content_range=f"bytes */{size}")
    return start, end


def disposition(name: str) -> bytes:
    """Content-Disposition: always to be saved, never shown in a browser's window."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", name).replace("%", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}".encode()


@implementer(IPushProducer)
class FileAnswer:
    """Writes a range of a file into a request; implements DownloadSink.

    Attributes:
        wheel_slot: the wheel's.
    """

    log = Logger()
    wheel_slot = -1

    def __init__(self, request: Request, files: Files, doors: Doors, user: str) -> None:
        self._request = request
        self._files = files
        self._doors = doors
        self._user = user
        self._download: Download | None = None
        self._at = self._end = 0
        self._paused = True
        self._reading = False
        self._over = False
        self._moved = 0.0

    def start(self, download: Download, start: int, end: int) -> None:
        """The head was written already."""
        self._download = download
        self._at, self._end = start, end
        self._moved = now = self._doors.clock.seconds()
        self._doors.wheel.watch(self, now + self._doors.limits.check_interval)
        self._request.notifyFinish().addErrback(self._gone)
        self._request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        self._paused = False
        self._moved = self._doors.clock.seconds()
        self._read()

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        self._paused = True

    def stopProducing(self) -> None:
        """See IPushProducer."""
        self._paused = True

    def _read(self) -> None:
        if not (self._paused or self._reading or self._over):
            if self._at == self._end:
                self._finish()
                return
            self._reading = True
            ensureDeferred(self._read_more()).addErrback(self._failed)

    async def _read_more(self) -> None:
        assert self._download is not None
        data = await self._download.blob.read(self._at, min(READ_BYTES, self._end - self._at))
        self._reading = False
        if self._over:
            return
        if not data:
            raise OSError("a file became shorter")
        self._at += len(data)
        self._files.channels.sent += len(data)
        self._moved = self._doors.wheel.now
        self._request.write(data)
        self._read()

    def _failed(self, failure: Any) -> None:
        if failure.check(ImError) is None:
            self.log.failure("a file could not be sent", failure)
        self._abort()

    @property
    def ended(self) -> bool:
        """See DownloadSink."""
        return self._over

    def download_ended(self, error: ImError) -> None:
        """See DownloadSink."""
        self._abort()

    def _abort(self) -> None:
        """Ends it so that the peer sees that something is missing."""
        if not self._over:
            self._close()
            transport: Any = self._request.channel.transport
            if transport is not None:
                transport.abortConnection()

    def _finish(self) -> None:
        download = self._download
        assert download is not None
        self._close()
        self._request.unregisterProducer()
        self._request.finish()
        if self._end == download.transfer.size:
            told = ensureDeferred(self._files.delivered(self._user, download.transfer))
            told.addErrback(lambda failure: failure.trap(ImError))

    def _gone(self, reason: Any) -> None:
        self._close()

    def _close(self) -> None:
        if not self._over:
            self._over = True
            self._doors.wheel.forget(self)
            self._files.channels.leave(self._user)
            download, self._download = self._download, None  # which has this answer
            if download is not None:
                self._files.channels.close_download(download)

    def check(self, now: float) -> float | None:
        """See liveness.Watched."""
        if not self._reading and now - self._moved >= self._doors.limits.slow_after:
            self._abort()
            return None
        return now + self._doors.limits.check_interval


def write_head(request: Request, download: Download, found: tuple[int, int] | None, etag: bytes) -> None:
    """Status and headers of a file, or of a range of it."""
    size = download.transfer.size
    start, end = found or (0, size)
    head(request, 206 if found else 200, b"application/octet-stream")
    headers = request.responseHeaders
    headers.setRawHeaders(b"content-length", [b"%d" % (end - start)])
    headers.setRawHeaders(b"accept-ranges", [b"bytes"])
    headers.setRawHeaders(b"etag", [etag])
    headers.setRawHeaders(b"content-disposition", [disposition(download.transfer.name)])
    if found:
        headers.setRawHeaders(b"content-range", [b"bytes %d-%d/%d" % (start, end - 1, size)])
