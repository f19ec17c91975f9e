"""Files inside a chat connection (document 000, FILE): the same transfers without a channel of their own.

A session's commands run one after the other, so a chunk that has to wait for the disk
lets the peer wait. What goes out is read from the disk as the session's outbox drains.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from imserver.model.accounts import Principal
from imserver.model.errors import ErrorCode, ImError
from imserver.model.files import (
    AcceptFile,
    AckChunks,
    CancelFile,
    CancelTransfer,
    CompleteFile,
    OfferFile,
    RejectFile,
    RequestFile,
    SendChunk,
)
from imserver.model.messages import Done
from imserver.services.dispatch import Handler
from imserver.services.file_channels import Channels
from imserver.services.file_desks import Desk, Incoming, Outgoing, Seat
from imserver.services.file_uploads import Upload
from imserver.services.files import Files

CHUNK = 60_000
"""Bytes of the largest chunk (document 000, as CONTRACT has it)."""
READ_CHUNKS = 4
"""Chunks read from the disk at a time."""


class InbandFiles:
    """See the module.

    Args:
        find: the live session of a principal; None if it is gone.
    """

    def __init__(
        self,
        files: Files,
        find: Callable[[Principal], Seat | None],
        spawn: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._files = files
        self._find = find
        self._spawn = spawn
        self._desks: dict[str, Desk] = {}

    @property
    def _channels(self) -> Channels:
        return self._files.channels

    def handlers(self) -> dict[type, Handler]:
        """For the dispatch."""
        return {
            OfferFile: self.offer,
            SendChunk: self.chunk,
            AckChunks: self.acknowledge,
            CancelFile: self.cancel,
            CompleteFile: self.complete,
        }

    def _desk(self, principal: Principal) -> Desk:
        desk = self._desks.get(principal.session)
        if desk is None:
            seat = self._find(principal)
            if seat is None:
                raise ImError(ErrorCode.UNAVAILABLE, "the session ended")
            desk = self._desks[principal.session] = Desk(principal.user, seat)
            seat.feeder = desk.feed
        return desk

    def session_closed(self, session: str) -> None:
        """What a session had under way waits for its next one."""
        desk = self._desks.pop(session, None)
        if desk is None:
            return
        for incoming in desk.uploads.values():
            self._end_upload(desk, incoming)
        for id in list(desk.downloads):
            self._end_download(desk, id)
        desk.uploads.clear()
        desk.feed()
        desk.seat.feeder = None  # the two are freed at once

    def _end_upload(self, desk: Desk, incoming: Incoming) -> None:
        upload = incoming.upload
        incoming.end()
        self._channels.leave(desk.user)
        if upload is not None:
            self._spawn(self._channels.close_upload(upload))

    def _give_up(self, desk: Desk, name: str) -> None:
        incoming = desk.uploads.pop(name, None)
        if incoming is not None:
            self._end_upload(desk, incoming)

    def _end_download(self, desk: Desk, id: str) -> None:
        outgoing = desk.downloads.pop(id, None)
        if outgoing is not None:
            outgoing.ended = True
            self._channels.leave(desk.user)
            download, outgoing.download = outgoing.download, None  # which has this one
            if download is not None:
                self._channels.close_download(download)
            else:
                self._channels.stop_waiting(id, outgoing)
            desk.feed()  # it may wait for room

    # Sending

    async def offer(self, principal: Principal, command: OfferFile) -> AckChunks:
        """Begins an upload, or goes on with it: the answer says where."""
        request = RequestFile(
            command.name,
            command.size,
            command.sha256,
            recipient=command.peer,
            client_id=command.transfer,
        )
        transfer = await self._files.requests.open(principal, request)
        desk = self._desk(principal)
        incoming = desk.uploads.get(command.transfer)
        if incoming is None:
            self._channels.enter(desk.user)
            incoming = desk.uploads[command.transfer] = Incoming(
                command.transfer, desk.seat, lambda: self._give_up(desk, command.transfer)
            )
        elif incoming.upload is not None:
            return AckChunks(command.transfer, incoming.upload.position)
        try:
            upload = await self._channels.upload(principal.user, transfer.id, incoming, principal.sid)
        except ImError:
            if desk.uploads.pop(command.transfer, None) is not None:
                self._channels.leave(desk.user)
            raise
        if desk.uploads.get(command.transfer) is not incoming:  # the session ended meanwhile
            await self._channels.close_upload(upload)
            raise ImError(ErrorCode.UNAVAILABLE, "the session ended")
        incoming.upload = upload
        return AckChunks(command.transfer, upload.position)

    def _incoming(self, principal: Principal, name: str) -> tuple[Incoming, Upload]:
        desk = self._desks.get(principal.session)
        incoming = None if desk is None else desk.uploads.get(name)
        if incoming is None or incoming.upload is None:
            raise ImError(ErrorCode.NOT_FOUND, "offer the file first")
        return incoming, incoming.upload

    async def chunk(self, principal: Principal, command: SendChunk) -> Done:
        """The next bytes."""
        incoming, upload = self._incoming(principal, command.transfer)
        upload.feed(command.offset, command.data)
        self._channels.received += len(command.data)
        await incoming.room()
        return Done()

    async def complete(self, principal: Principal, command: CompleteFile) -> CompleteFile:
        """Everything was sent; the answer says that it is verified."""
        incoming, upload = self._incoming(principal, command.transfer)
        desk = self._desk(principal)
        try:
            await self._channels.finish(upload)
        finally:
            # What it was is over: bytes that are missing come after another offer.
            if desk.uploads.get(command.transfer) is incoming:
                del desk.uploads[command.transfer]
                self._end_upload(desk, incoming)
        return CompleteFile(command.transfer)

    # Receiving

    async def acknowledge(self, principal: Principal, command: AckChunks) -> Done:
        """Takes an offer up from this offset; or says how much arrived."""
        desk = self._desk(principal)
        id = command.transfer
        running = desk.downloads.get(id)
        if running is not None and running.download is not None:
            transfer = running.download.transfer
            if command.offset > transfer.size:
                raise ImError(ErrorCode.BAD_REQUEST, "the offset is beyond the file")
            if command.offset == transfer.size:
                self._end_download(desk, id)
                await self._files.delivered(principal.user, transfer, principal.session)
            return Done()
        if running is not None:
            return Done()
        await self._files.accept(principal, AcceptFile(id))
        if self._desks.get(principal.session) is not desk:
            # What was accepted waits for the user's next session, as one that was begun does.
            raise ImError(ErrorCode.UNAVAILABLE, "the session ended")
        self._channels.enter(desk.user)
        outgoing = desk.downloads[id] = Outgoing(desk.seat, lambda: self._end_download(desk, id))
        self._spawn(self._send(desk, id, outgoing, command.offset, principal.sid))
        return Done()

    async def _send(self, desk: Desk, id: str, outgoing: Outgoing, offset: int, sid: str) -> None:
        try:
            download = await self._channels.download(desk.user, id, outgoing, sid)
            if outgoing.ended:
                self._channels.close_download(download)
                return
            outgoing.download = download
            size = download.transfer.size
            if offset > size:
                raise ImError(ErrorCode.BAD_REQUEST, "the offset is beyond the file")
            while offset < size and not outgoing.ended:
                data = await download.blob.read(offset, READ_CHUNKS * CHUNK)
                if not data:
                    raise ImError(ErrorCode.UNAVAILABLE, "the file cannot be read now")
                for start in range(0, len(data), CHUNK):
                    await desk.room()
                    if desk.downloads.get(id) is not outgoing:
                        return
                    piece = data[start : start + CHUNK]
                    desk.seat.receiver.notify(SendChunk(id, offset + start, piece))
                    self._channels.sent += len(piece)
                offset += len(data)
            if not outgoing.ended:
                desk.seat.receiver.notify(CompleteFile(id))
        except ImError as error:
            if not outgoing.ended:
                desk.seat.receiver.notify(CancelFile(id, error.text))
                self._end_download(desk, id)

    # Either

    async def cancel(self, principal: Principal, command: CancelFile) -> Done:
        """The sender gives it up, or the recipient does not want it (any more)."""
        desk = self._desk(principal)
        self._give_up(desk, command.transfer)
        mine = await self._files.store.transfer_of(principal.user, principal.format, command.transfer)
        if mine is not None:
            await self._files.cancel(principal, CancelTransfer(mine.id, command.reason))
            return Done()
        self._end_download(desk, command.transfer)
        await self._files.reject(principal, RejectFile(command.transfer, command.reason))
        return Done()
