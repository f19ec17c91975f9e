"""/api/files: resumable upload (tus 1.0.0: creation, termination, expiration) and download with ranges.

docs/files.md describes it for client authors. These requests stand beside the table of
REST routes, because their bodies and answers are not JSON; their refusals are.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from wsgiref.handlers import format_date_time

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.web.server import NOT_DONE_YET, Request

from imserver.http.answers import Refused, head, json_answer, refusal
from imserver.http.api import Api
from imserver.http.file_bodies import UploadBody
from imserver.http.file_downloads import FileAnswer, range_of, write_head
from imserver.http.incoming import segments
from imserver.model.accounts import Principal
from imserver.model.errors import ImError
from imserver.model.files import CancelTransfer, Kind, RequestFile
from imserver.protocols.connections import settle
from imserver.protocols.doors import Doors
from imserver.services.file_ports import State, Transfer
from imserver.services.file_uploads import Upload
from imserver.services.files import Files

ROOT = b"/api/files"
UPLOADS = b"/api/files/uploads/"
VERSION = b"1.0.0"
MAX_METADATA = 8192
_KINDS = {"image": Kind.IMAGE, "voice": Kind.VOICE, "video": Kind.VIDEO, "file": Kind.FILE}


class FileSite:
    """The resources below /api/files that are not JSON.

    Args:
        api: knows who asks, and the limits on requests.
    """

    log = Logger()

    def __init__(self, files: Files, api: Api, doors: Doors) -> None:
        self.files = files
        self._api = api
        self._doors = doors

    def serves(self, method: bytes, path: bytes) -> bool:
        """Whether a request comes here."""
        if path == ROOT:
            return method in (b"POST", b"OPTIONS")
        return path.startswith(ROOT + b"/")

    def streams(self, method: bytes, path: bytes) -> bool:
        """Whether a request's body goes into an upload."""
        return method == b"PATCH" and path.startswith(UPLOADS)

    def body(self, request: Request, refuse: Any) -> UploadBody:
        """What takes the body of such a request.

        Args:
            refuse: called with (request, refusal) if it is not taken.
        """

        async def open(body: UploadBody) -> Upload:
            _check_version(request)
            principal = await self._caller(request)
            transfer = await self._transfer(principal, request.channel._path.partition(b"?")[0])
            if _one(request, b"content-type") != b"application/offset+octet-stream":
                raise Refused(415, "the content type must be application/offset+octet-stream")
            offset = _number(request, b"upload-offset")
            body.entered(principal.user)
            upload = await self.files.channels.upload(principal.user, transfer.id, body, principal.sid)
            if upload.position != offset:
                await self.files.channels.close_upload(upload)
                raise Refused(409, "the upload goes on elsewhere", upload_offset=str(upload.position))
            return upload

        return UploadBody(request, self.files.channels, open, refuse, self._doors.clock.seconds)

    def render(self, request: Request) -> int:
        """Answers, now or later."""
        gone: list[Any] = []
        request.notifyFinish().addErrback(gone.append)

        def answered(body: bytes | None) -> None:
            if body is not None and not gone:
                request.responseHeaders.setRawHeaders(b"content-length", [b"%d" % len(body)])
                if body and request.method != b"HEAD":
                    request.write(body)
                request.finish()

        work = ensureDeferred(self._answer(request, gone))
        work.addCallback(answered)
        work.addErrback(lambda failure: self.log.failure("a request could not be answered", failure))
        return NOT_DONE_YET

    async def _answer(self, request: Request, gone: list[Any]) -> bytes | None:
        try:
            _check_version(request)
            return await self._serve(request, gone)
        except (ImError, Refused) as error:
            return refusal(request, error)
        except Exception:
            self.log.failure("a request for a file failed")
            return json_answer(request, 500, "internal error")

    async def _serve(self, request: Request, gone: list[Any]) -> bytes | None:
        method, path = request.method, request.path
        if method == b"OPTIONS":
            return self._options(request)
        if path.startswith(UPLOADS):
            if method == b"PATCH":
                return await self._patch(request)
            if method not in (b"HEAD", b"DELETE"):
                raise Refused(405, "only HEAD, PATCH, DELETE here", allow="HEAD, PATCH, DELETE")
            principal = await self._caller(request)
            transfer = await self._transfer(principal, path)
            if method == b"DELETE":
                await self.files.cancel(principal, CancelTransfer(transfer.id))
                return self._tus(request, 204)
            return await self._offset(request, transfer)
        if method == b"POST" and path == ROOT:
            return await self._create(request)
        if method not in (b"GET", b"HEAD"):
            raise Refused(405, "only GET, HEAD here", allow="GET, HEAD")
        return await self._download(request, gone)

    async def _caller(self, request: Request) -> Principal:
        principal = await self._api.admit(request)
        request.channel.admission.authenticated()  # type: ignore[attr-defined]
        settle(request.channel.transport)
        return principal

    # Upload

    def _tus(self, request: Request, status: int, **headers: str) -> bytes:
        head(request, status)
        request.responseHeaders.removeHeader(b"content-type")
        request.responseHeaders.setRawHeaders(b"tus-resumable", [VERSION])
        for name, value in headers.items():
            request.responseHeaders.setRawHeaders(name.replace("_", "-").encode(), [value.encode()])
        return b""

    def _options(self, request: Request) -> bytes:
        return self._tus(
            request,
            204,
            tus_version="1.0.0",
            tus_extension="creation,termination,expiration",
            tus_max_size=str(self.files.settings.max_bytes),
        )

    async def _create(self, request: Request) -> bytes:
        principal = await self._caller(request)
        command = _request_of(_number(request, b"upload-length"), _one(request, b"upload-metadata"))
        transfer = await self.files.requests.open(principal, command)
        offset = await self.files.channels.length(transfer)
        file = transfer.file
        if not transfer.size and transfer.state is State.OPEN:
            file = await self._finish_empty(principal, transfer)
        return self._tus(
            request,
            201,
            location=(UPLOADS.decode() + transfer.id),
            upload_offset=str(offset),
            upload_expires=format_date_time(transfer.expires_at),
            x_file_id=file,
        )

    async def _finish_empty(self, principal: Principal, transfer: Transfer) -> str:
        """An empty file has no PATCH."""
        upload = await self.files.channels.upload(principal.user, transfer.id, _NOBODY)
        try:
            return (await self.files.channels.finish(upload)).file
        finally:
            await self.files.channels.close_upload(upload)

    async def _transfer(self, principal: Principal, path: bytes) -> Transfer:
        parts = segments(path)
        found = await self.files.store.transfer(parts[-1]) if parts and len(parts) == 4 else None
        if found is None or found.owner != principal.user:
            raise Refused(404, "there is no such upload of yours")
        if found.state not in (State.OPEN, State.STORED):
            raise Refused(410, f"the upload was {found.state.value}")
        return found

    async def _offset(self, request: Request, transfer: Transfer) -> bytes:
        offset = await self.files.channels.length(transfer)
        more = {"x_file_id": transfer.file} if transfer.state is State.STORED else {}
        return self._tus(
            request,
            200,
            upload_offset=str(offset),
            upload_length=str(transfer.size),
            upload_expires=format_date_time(transfer.expires_at),
            **more,
        )

    async def _patch(self, request: Request) -> bytes:
        offset, file = await request.upload_body.done()  # type: ignore[attr-defined]
        more = {"x_file_id": file} if file else {}
        return self._tus(request, 204, upload_offset=str(offset), **more)

    # Download

    async def _download(self, request: Request, gone: list[Any]) -> bytes | None:
        principal = await self._caller(request)
        parts = segments(request.path)
        if parts is None or len(parts) != 3:
            raise Refused(404, "there is nothing here")
        transfer = await self.files.readable(parts[2])
        etag = b'"%b"' % transfer.sha256.encode()
        channels = self.files.channels
        answer = FileAnswer(request, self.files, self._doors, principal.user)
        channels.enter(principal.user)
        try:
            download = await channels.download(principal.user, transfer.id, answer, principal.sid)
        except BaseException:
            channels.leave(principal.user)
            raise
        try:
            found = range_of(request, transfer.size, etag)
        except BaseException:
            channels.close_download(download)
            channels.leave(principal.user)
            raise
        known = _one(request, b"if-none-match")
        if gone or request.method == b"HEAD" or known == etag or transfer.size == 0:
            channels.close_download(download)
            channels.leave(principal.user)
            if gone:
                return None
            write_head(request, download, found, etag)
            if known == etag:
                request.setResponseCode(304)
                request.responseHeaders.removeHeader(b"content-length")
            request.finish()
            return None
        write_head(request, download, found, etag)
        answer.start(download, *(found or (0, transfer.size)))
        return None


class _Nobody:
    """An UploadSink for what needs none."""

    def upload_kept(self, offset: int) -> None:
        """See UploadSink."""

    def upload_ended(self, error: ImError) -> None:
        """See UploadSink."""


_NOBODY = _Nobody()


def _one(request: Request, name: bytes) -> bytes:
    """A header; b"" if there is none. Raises Refused if there are several."""
    values = request.requestHeaders.getRawHeaders(name) or [b""]
    if len(values) > 1:
        raise Refused(400, f"several headers {name.decode()}")
    return values[0].strip()


def _check_version(request: Request) -> None:
    """Whoever says no version is no tus client, and is served all the same."""
    if _one(request, b"tus-resumable") not in (b"", VERSION):
        raise Refused(412, "only tus 1.0.0 is spoken here", tus_version="1.0.0")


def _number(request: Request, name: bytes) -> int:
    value = _one(request, name)
    if not value.isdigit() or len(value) > 18:
        raise Refused(400, f"the header {name.decode()} must be a number of bytes")
    return int(value)


def _request_of(size: int, metadata: bytes) -> RequestFile:
    """Upload-Metadata: pairs of a key and a base64 value."""
    fields: dict[str, str] = {}
    if len(metadata) > MAX_METADATA:
        raise Refused(400, "Upload-Metadata is too long")
    for pair in metadata.split(b","):
        key, _, value = pair.strip().partition(b" ")
        try:
            fields[key.decode("ascii")] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise Refused(400, "Upload-Metadata cannot be read") from None
    kind = _KINDS.get(fields.get("kind", "file"))
    if kind is None:
        raise Refused(400, "kind must be image, voice, video or file")
    return RequestFile(
        name=fields.get("filename", ""),
        size=size,
        sha256=fields.get("sha256", "").lower(),
        conversation=fields.get("conversation", ""),
        recipient=fields.get("to", ""),
        group=fields.get("group", ""),
        kind=kind,
        client_id=fields.get("client_id", ""),
    )
