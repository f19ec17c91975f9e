"""The body of a PATCH that goes straight into an upload, never as a whole into memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.web.server import Request

from imserver.http.answers import Refused
from imserver.model.errors import ErrorCode, ImError, alone
from imserver.services.file_channels import Channels
from imserver.services.file_uploads import Upload

WAITING = 256 * 1024
"""Bytes kept while it is looked up whose they are."""


class UploadBody:
    """Implements UploadSink; made when a request's head is complete.

    Args:
        open: finds out who asks and opens the upload at the offset the request names.
        refuse: answers at once, where much of the body is still to come.

    Attributes:
        moved: when (reactor seconds) bytes last came in, or went to the disk.
    """

    log = Logger()

    def __init__(
        self,
        request: Request,
        channels: Channels,
        open: Callable[[UploadBody], Awaitable[Upload]],
        refuse: Callable[[Request, ImError | Refused], None],
        seconds: Callable[[], float],
    ) -> None:
        # Until the request is over, or the connection: they would keep each other.
        self._asking: tuple[Request, Callable[[Request, ImError | Refused], None]] | None = request, refuse
        self._channels = channels
        self._seconds = seconds
        self._upload: Upload | None = None
        self._user = ""
        self._error: ImError | Refused | None = None
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._deaf = False
        self._opened: Deferred[None] = Deferred()
        self.moved = seconds()
        ensureDeferred(self._open(open)).addErrback(self._broken)

    async def _open(self, open: Callable[[UploadBody], Awaitable[Upload]]) -> None:
        try:
            upload = await open(self)
        except (ImError, Refused) as error:
            self._fail(error)
        else:
            if self._asking is None:
                await self._channels.close_upload(upload)
            else:
                self._upload = upload
                pieces, self._pieces, self._bytes = self._pieces, [], 0
                for piece in pieces:
                    self._feed(piece)
                self._read_on()
        self._opened.callback(None)

    def _broken(self, failure: Any) -> None:
        self.log.failure("an upload failed", failure)
        self._fail(ImError(ErrorCode.INTERNAL, "internal error"))
        if not self._opened.called:
            self._opened.callback(None)

    def entered(self, user: str) -> None:
        """The asker takes one of the places for channels, until the body is over."""
        self._channels.enter(user)
        self._user = user

    def received(self, data: bytes) -> None:
        """The next bytes of the body."""
        self.moved = self._seconds()
        if self._error is not None:
            return
        if self._upload is None:
            self._pieces.append(data)
            self._bytes += len(data)
        else:
            self._feed(data)
        self._read_on()

    def _feed(self, data: bytes) -> None:
        upload = self._upload
        if upload is None or self._error is not None:
            return
        try:
            upload.feed(upload.position, data)
            self._channels.received += len(data)
        except ImError as error:
            self._fail(error)

    def _fail(self, error: ImError | Refused) -> None:
        if self._error is None:
            self._error = alone(error)
            self._pieces, self._bytes = [], 0
            self._read_on()
            if self._asking is not None:
                request, refuse = self._asking
                refuse(request, error)

    def _read_on(self) -> None:
        """Reads the connection, or not, as things are now."""
        if self._asking is None:
            return
        upload = self._upload
        full = self._bytes >= WAITING or (upload is not None and upload.full)
        deaf = full and self._error is None
        transport: Any = self._asking[0].channel.transport
        if deaf != self._deaf and transport is not None:
            self._deaf = deaf
            if deaf:
                transport.pauseProducing()
            else:
                self.moved = self._seconds()
                transport.resumeProducing()

    # services.file_uploads.UploadSink

    def upload_kept(self, offset: int) -> None:
        """See UploadSink."""
        self.moved = self._seconds()
        self._read_on()

    def upload_ended(self, error: ImError) -> None:
        """See UploadSink."""
        self._fail(error)

    # The request's side

    @property
    def waits(self) -> bool:
        """Whether it is this server that has something to do."""
        return self._deaf

    async def done(self) -> tuple[int, str]:
        """The whole body came in: makes it durable.

        Returns:
            the upload's offset now, and the file's id if that was its end.

        Raises:
            ImError, Refused: why it was not taken.
        """
        await self._opened
        # Raised, it has this stack, which has this body: kept, it would make a cycle of them.
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            upload = self._upload
            assert upload is not None
            if upload.position == upload.transfer.size:
                transfer = await self._channels.finish(upload)
                return transfer.size, transfer.file
            await upload.flush()
            return upload.position, ""
        finally:
            del error
            await self._close()

    def lost(self) -> None:
        """The request is over, or the connection: what came in is kept."""
        if self._asking is not None:
            self._asking = None
            ensureDeferred(self._keep()).addErrback(
                lambda failure: self.log.failure("an upload could not be closed", failure)
            )

    async def _keep(self) -> None:
        await self._opened
        try:
            if self._upload is not None and self._error is None:
                await self._upload.flush()
        except ImError:
            pass  # as far as it was synced
        finally:
            await self._close()

    async def _close(self) -> None:
        upload, self._upload = self._upload, None
        user, self._user = self._user, ""
        self._asking = None
        if user:
            self._channels.leave(user)
        if upload is not None:
            await self._channels.close_upload(upload)
