"""The file channel (document 004, 2.4): one connection moves the bytes of one transfer.

The protocol cuts frames and joins them to an `Upload` or a `Download`. While much waits
for the disk it does not read; while the peer does not take what was written it does not
read the disk. A first HELLO has `handshake_time`; afterwards silence ends an upload, a
peer that takes nothing for `slow_after` a download, and a wait for a file to become whole ends
after `WHOLE_WITHIN`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import ServerFactory
from zope.interface import implementer

from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import Role
from imserver.protocols.connections import settle
from imserver.protocols.doors import Doors
from imserver.protocols.filechannel_end import FileChannelEnd
from imserver.services.file_channels import Download
from imserver.services.file_uploads import Upload
from imserver.services.files import Files
from imserver.wire.base import WireError
from imserver.wire.filechannel import Ack, Data, End, Failed, Frame, Hello, Seal, data_head

READ_BYTES = 1024 * 1024
"""Bytes read from the disk at a time."""


@implementer(IPushProducer)
class FileChannelProtocol(FileChannelEnd):
    """See the module. Implements services' UploadSink and DownloadSink."""

    _factory: FileChannelFactory

    # Frames in

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self._frames is None:
            return
        self._moved = self._doors.wheel.now
        try:
            frames = self._buffer.feed(data)
        except WireError as error:
            self._fail(ImError(error.code, error.text))
            return
        self._frames += frames
        self._pump()

    def _pump(self) -> None:
        try:
            while self._frames and not self._busy:
                self._handle(self._frames.pop(0))
        except (ImError, WireError) as error:
            self._fail(ImError(error.code, error.text))
        except Exception:
            self.log.failure("a file channel failed")
            self._fail(ImError(ErrorCode.INTERNAL, "internal error"))
        self._read_on()

    def _handle(self, frame: Frame) -> None:
        upload = self._upload
        if type(frame) is Data and upload is not None and not self._ending:
            data = frame.data
            if self._seal is not None:
                data = self._seal.open(frame.offset, data)
            upload.feed(frame.offset, data)
            self._channels.received += len(data)
        elif type(frame) is Hello and self._ticket is None:
            self._busy = True
            self._start(self._hello(frame))
        elif type(frame) is End and upload is not None and not self._ending:
            self._ending = True
            self._start(self._finish(upload, frame.sha256))
        elif type(frame) is Ack and self._download is not None:
            self._acknowledged(self._download, frame.offset)
        elif type(frame) is Failed and self._ticket is not None:
            # The peer gives up; the transfer itself goes on.
            self._finish_writing()
        else:
            raise ImError(ErrorCode.BAD_REQUEST, "this frame has no place here")

    async def _hello(self, hello: Hello) -> None:
        ticket = self._channels.check(hello.token, hello.transfer, hello.role)
        self._channels.enter(ticket.user)
        self._ticket = ticket
        self._admission.authenticated()
        settle(self.transport)
        if ticket.key:
            self._seal = Seal(ticket.key, ticket.transfer)
        self._buffer.whole = self._seal is not None
        self._doors.wheel.watch(self, self._doors.clock.seconds() + self._doors.limits.check_interval)
        if ticket.role == Role.SENDER:
            upload = await self._channels.upload(ticket.user, ticket.transfer, self, ticket.sid)
            if self._frames is None:
                await self._channels.close_upload(upload)
                return
            self._upload = upload
            offset = upload.position
        else:
            self._waits = True
            download = await self._channels.download(ticket.user, ticket.transfer, self, ticket.sid)
            self._waits = False
            if self._frames is None:
                self._channels.close_download(download)
                return
            if hello.offset > download.transfer.size:
                self._channels.close_download(download)
                raise ImError(ErrorCode.BAD_REQUEST, "the offset is beyond the file")
            self._download = download
            offset = self._at = hello.offset
        self._moved = self._doors.clock.seconds()
        self._write(Hello(ticket.transfer, ticket.role.value, offset))
        self._busy = False
        if self._download is not None:
            self._producing = True
            self.transport.registerProducer(self, True)
            self.resumeProducing()
        self._pump()

    # Uploads

    async def _finish(self, upload: Upload, sha256: str) -> None:
        transfer = await self._channels.finish(upload, sha256)
        self._write(End(transfer.sha256, transfer.id, transfer.file))
        self._finish_writing()

    def upload_kept(self, offset: int) -> None:
        """See UploadSink."""
        assert self._ticket is not None
        self._write(Ack(self._ticket.transfer, offset))
        self._read_on()

    def upload_ended(self, error: ImError) -> None:
        """See UploadSink."""
        self._fail(error)

    def _read_on(self) -> None:
        """Reads the connection, or not, as things are now."""
        deaf = self._frames is not None and (
            bool(self._frames) or (self._upload is not None and self._upload.full)
        )
        if deaf != self._deaf and not self._closing:
            self._deaf = deaf
            if deaf:
                self.transport.pauseProducing()
            else:
                self._moved = self._doors.clock.seconds()
                self.transport.resumeProducing()

    # Downloads

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
        download = self._download
        if self._paused or self._reading or self._ending or download is None or self._frames is None:
            return
        left = download.transfer.size - self._at
        if not left:
            self._ending = True
            self._write(End(download.transfer.sha256, download.transfer.id, download.transfer.file))
            return
        self._reading = True
        self._start(self._read_more(download, min(left, READ_BYTES)))

    async def _read_more(self, download: Download, length: int) -> None:
        pieces = await download.blob.pieces(self._at, length, self._channels.chunk)
        self._reading = False
        if self._frames is None or self._download is not download:
            return
        if not pieces:
            raise ImError(ErrorCode.UNAVAILABLE, "the file cannot be read now")
        self._write_data(pieces)
        self._read()

    def _write_data(self, data: list[bytes]) -> None:
        pieces: list[bytes] = []
        for piece in data:
            self._channels.sent += len(piece)
            at = self._at
            self._at += len(piece)
            if self._seal is not None:
                piece = self._seal.seal(at, piece, self._factory.random_bytes(12))
            pieces += (data_head(at, len(piece)), piece)
        self._moved = self._doors.wheel.now
        # Joined where they are written; TLS does it at once.
        self.transport.writeSequence(pieces)

    def _acknowledged(self, download: Download, offset: int) -> None:
        if offset > self._at:
            raise ImError(ErrorCode.BAD_REQUEST, "more is acknowledged than was sent")
        if offset == download.transfer.size and self._ending:
            self._start(self._delivered(download))

    async def _delivered(self, download: Download) -> None:
        await self._factory.files.delivered(download.user, download.transfer)
        self._finish_writing()

    def download_ended(self, error: ImError) -> None:
        """See DownloadSink."""
        self._download = None
        self._fail(error)


class FileChannelFactory(ServerFactory):
    """Builds the protocol.

    Args:
        random_bytes: source of nonces.
    """

    noisy = False

    def __init__(self, doors: Doors, files: Files, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self.doors = doors
        self.files = files
        self.random_bytes = random_bytes

    def buildProtocol(self, addr: IAddress | None) -> FileChannelProtocol | None:
        """See IProtocolFactory; None (the connection is closed) where there is no room."""
        admission = self.doors.admit(addr)
        if admission is None:
            return None
        protocol = FileChannelProtocol(self, admission)
        protocol.factory = self
        return protocol
