"""Where the bytes of files go in and out: one upload a transfer, downloads, and the limits on both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from imserver.model.errors import ErrorCode, ImError
from imserver.services.file_downloads import Download, DownloadSink
from imserver.services.file_ports import Blobs, FileStore, Mismatch, Part, State, Transfer
from imserver.services.file_rules import FileSettings
from imserver.services.file_shelf import Shelf
from imserver.services.file_table import Event, Ticket, Tickets, follow
from imserver.services.file_uploads import Upload, UploadSink
from imserver.services.named_locks import NamedLock

GONE = "the server is going down; go on later"
PAUSE = 0.05
ASK_AGAIN = 1.0
PATIENCE = 10.0
"""Seconds for which another server that has an upload's part is waited for, or asked again."""


class Others(Protocol):
    """The other nodes."""

    def let_go(self, transfer: str) -> None:
        """They are to end an upload: this node goes on with it."""

    def stored(self, transfer: str) -> None:
        """The file is whole."""


class _Waiter(NamedTuple):
    """Who waits for a file to become whole: the user, the log-in, and what ends it."""

    user: str
    sid: str
    stored: Deferred[None]


class Channels:
    """See the module.

    Args:
        stored: told of each file that became whole, once its record says so.
        check: raises ImError where a file may not go to its target any more.
        others: nodes that share the place for bytes.

    Attributes:
        shelf: where whole files are.
        uploads: those under way, by transfer.
        received / sent: bytes since the start.
        stored / mismatched: uploads that became whole, and whole ones that were not the announced file.
    """

    def __init__(
        self,
        store: FileStore,
        blobs: Blobs,
        tickets: Tickets,
        clock: IReactorTime,
        settings: FileSettings,
        stored: Callable[[Transfer], Awaitable[None]],
        check: Callable[[Transfer], Awaitable[None]],
        others: Others,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._tickets = tickets
        self._clock = clock
        self._settings = settings
        self._told = stored
        self._check = check
        self._others = others
        self._locks: dict[str, DeferredLock] = {}
        self.shelf = Shelf(store, blobs, clock)
        self._waiting: dict[str, dict[DownloadSink, _Waiter]] = {}
        self._by_user: dict[str, int] = {}
        self._closed = False
        self.uploads: dict[str, Upload] = {}
        self.downloads: dict[Download, None] = {}
        self.received = 0
        self.sent = 0
        self.stored = 0
        self.mismatched = 0

    # Limits

    def __len__(self) -> int:
        return sum(self._by_user.values())

    def enter(self, user: str) -> None:
        """Counts a channel, until `leave`.

        Raises:
            ImError: TOO_FAST for too many, UNAVAILABLE while the server goes down.
        """
        if self._closed:
            raise ImError(ErrorCode.UNAVAILABLE, GONE)
        mine = self._by_user.get(user, 0)
        if mine >= self._settings.user_channels or len(self) >= self._settings.channels:
            raise ImError(ErrorCode.TOO_FAST, "too many files are moved at the same time")
        self._by_user[user] = mine + 1

    def leave(self, user: str) -> None:
        """A channel is gone."""
        left = self._by_user[user] - 1
        if left:
            self._by_user[user] = left
        else:
            del self._by_user[user]

    def check(self, token: str, transfer: str, role: str) -> Ticket:
        """What a channel token stands for. Raises ImError AUTH_FAILED."""
        return self._tickets.check(token, transfer, role)

    @property
    def chunk(self) -> int:
        """Bytes of the largest chunk."""
        return self._settings.chunk_bytes

    # Uploads

    async def length(self, transfer: Transfer) -> int:
        """Bytes of an upload that are kept."""
        if transfer.state is State.STORED:
            return transfer.size
        upload = self.uploads.get(transfer.id)
        if upload is not None and upload.part is not None:
            return upload.part.length
        return await self._blobs.length(transfer.id)

    async def upload(self, user: str, id: str, sink: UploadSink, sid: str = "") -> Upload:
        """Begins, or goes on with, an upload; one that is under way ends.

        Args:
            sid: the log-in of who asks.

        Raises:
            ImError: NOT_FOUND, UNAVAILABLE.
        """
        older = self.uploads.get(id)
        if older is not None:
            older.fail(ImError(ErrorCode.CONFLICT, "a newer channel of this transfer took over"))
        async with self._lock(id):
            await self._close(self.uploads.get(id))
            transfer = await self._store.transfer(id)
            if transfer is None or transfer.owner != user:
                raise ImError(ErrorCode.NOT_FOUND, "there is no such transfer of yours")
            follow(transfer.state, Event.UPLOAD)
            if self._closed:
                raise ImError(ErrorCode.UNAVAILABLE, GONE)
            part = None if transfer.state is State.STORED else await self._part(id)
            upload = self.uploads[id] = Upload(transfer, part, sink, self._clock, sid)
            return upload

    async def _part(self, id: str) -> Part:
        """Opens a part; another node that has it lets go of it."""
        began, asked = self._clock.seconds(), float("-inf")
        while (part := await self._blobs.part(id)) is None:
            now = self._clock.seconds()
            if now > began + PATIENCE:
                raise ImError(ErrorCode.UNAVAILABLE, "another server has this upload; try again later")
            if now >= asked + ASK_AGAIN:
                self._others.let_go(id)
                asked = now
            await deferLater(self._clock, PAUSE)
        return part

    async def let_go(self, id: str) -> None:
        """Another node goes on with an upload."""
        upload = self.uploads.get(id)
        if upload is not None:
            upload.fail(ImError(ErrorCode.CONFLICT, "a newer channel of this transfer took over"))
            async with self._lock(id):
                await self._close(upload)

    async def finish(self, upload: Upload, sha256: str = "") -> Transfer:
        """Everything was sent: verifies it.

        Args:
            sha256: what the sender says at the end; "" = nothing.

        Raises:
            ImError: BAD_REQUEST while bytes are missing; CONFLICT if it is not the file that was
                announced: then it begins again at 0; FORBIDDEN, or what else a message would be refused
                with: it may not go to its target any more.
        """
        transfer = upload.transfer
        if sha256 and transfer.sha256 and sha256 != transfer.sha256:
            raise ImError(ErrorCode.CONFLICT, "the hash is not the one that was announced")
        if upload.part is None:
            return transfer
        if upload.position != transfer.size:
            raise ImError(ErrorCode.BAD_REQUEST, f"the next offset is {upload.position}")
        await upload.flush()
        await self._check(transfer)
        async with self._lock(transfer.id):
            if self.uploads.get(transfer.id) is not upload:
                raise ImError(ErrorCode.CONFLICT, "a newer channel of this transfer took over")
            found = await self._verified(upload, transfer.sha256 or sha256)
            kept = await self.shelf.put(transfer, upload.part, found)
            await self._close(upload)
            await self._blobs.discard(transfer.id)
        upload.part, upload.transfer = None, kept
        self.wake(transfer.id)
        self._others.stored(transfer.id)
        self.stored += 1
        await self._told(kept)
        return kept

    async def _verified(self, upload: Upload, sha256: str) -> str:
        assert upload.part is not None
        try:
            return await upload.part.verify(upload.transfer.size, sha256)
        except Mismatch:
            self.mismatched += 1
            await self._close(upload)
            raise ImError(
                ErrorCode.CONFLICT, "the bytes are not the file that was announced; begin again at 0"
            ) from None

    async def close_upload(self, upload: Upload) -> None:
        """The peer is gone: what it sent is kept as far as it is synced."""
        id = upload.transfer.id
        if self.uploads.get(id) is upload:
            async with self._lock(id):
                await self._close(upload)

    async def _close(self, upload: Upload | None) -> None:
        if upload is not None and self.uploads.get(upload.transfer.id) is upload:
            await upload.close()
            del self.uploads[upload.transfer.id]

    def _lock(self, id: str) -> NamedLock:
        """One thing at a time with one transfer's part."""
        return NamedLock(self._locks, id)

    # Downloads

    async def download(self, user: str, id: str, sink: DownloadSink, sid: str = "") -> Download:
        """Opens a file for reading; waits until it is whole.

        Raises:
            ImError: NOT_FOUND, UNAVAILABLE.
        """
        while True:
            transfer = await self._store.transfer(id)
            if transfer is None:
                raise ImError(ErrorCode.NOT_FOUND, "there is no such transfer")
            follow(transfer.state, Event.UPLOAD)
            if self._closed:
                raise ImError(ErrorCode.UNAVAILABLE, GONE)
            if transfer.state is State.STORED:
                break
            if sink.ended:  # while the store was asked: nobody would end this wait
                raise ImError(ErrorCode.UNAVAILABLE, "nobody waits any more")
            waiter = _Waiter(user, sid, Deferred())
            self._waiting.setdefault(id, {})[sink] = waiter
            await waiter.stored
        blob = await self._blobs.blob(transfer.sha256)
        if blob is None or blob.size != transfer.size:
            if blob is not None:
                blob.close()
            raise ImError(ErrorCode.NOT_FOUND, "the file's bytes are not there any more")
        download = Download(user, transfer, blob, sink, sid)
        self.downloads[download] = None
        return download

    def wake(self, id: str = "") -> None:
        """Who waits for a file ("" = for any) to become whole looks again."""
        for transfer in [id] if id else list(self._waiting):
            for one in self._waiting.pop(transfer, {}).values():
                one.stored.callback(None)

    def stop_waiting(self, id: str, sink: DownloadSink, error: ImError | None = None) -> None:
        """Who waited for a file to become whole is gone, or waits no more for this reason."""
        waiting = self._waiting.get(id, {})
        waiter = waiting.pop(sink, None)
        if waiter is not None:
            if not waiting:
                del self._waiting[id]
            waiter.stored.errback(error or ImError(ErrorCode.UNAVAILABLE, "nobody waits any more"))

    def close_download(self, download: Download) -> None:
        """The peer has all, or is gone."""
        if download in self.downloads:
            del self.downloads[download]
            download.blob.close()

    def end_downloads(self, id: str, user: str = "", error: ImError | None = None) -> None:
        """Ends those of one transfer (of one user), also those that wait for it to become whole."""
        why = error or ImError(ErrorCode.NOT_FOUND, "the download was given up")
        for sink, waiter in list(self._waiting.get(id, {}).items()):
            if not user or waiter.user == user:
                self.stop_waiting(id, sink, why)
        for download in [one for one in self.downloads if one.transfer.id == id]:
            if not user or download.user == user:
                self.close_download(download)
                download.sink.download_ended(why)

    # The end

    def end_user(self, user: str, error: ImError, sid: str = "") -> None:
        """The user (or one log-in) is let in no more: everything ends; what is synced stays."""
        self._tickets.forget_user(user, sid)
        for upload in list(self.uploads.values()):
            if upload.transfer.owner == user and (not sid or upload.sid == sid):
                upload.fail(error)
        for download in list(self.downloads):
            if download.user == user and (not sid or download.sid == sid):
                self.close_download(download)
                download.sink.download_ended(error)
        for id, waiting in list(self._waiting.items()):
            for sink, waiter in list(waiting.items()):
                if waiter.user == user and (not sid or waiter.sid == sid):
                    self.stop_waiting(id, sink, error)

    async def end(self, id: str, error: ImError) -> None:
        """A transfer is over: its channels end, its part goes.

        Raises:
            ImError: UNAVAILABLE if the disk failed; then the part goes later (`file_keeping`).
        """
        self._tickets.forget_transfer(id)
        upload = self.uploads.get(id)
        if upload is not None:
            upload.fail(error)
        try:
            async with self._lock(id):
                await self._close(self.uploads.get(id))
                await self._blobs.discard(id)
        finally:
            self.end_downloads(id, error=error)

    async def close(self) -> None:
        """Ends all channels, and waits for what is being written."""
        self._closed = True
        error = ImError(ErrorCode.UNAVAILABLE, GONE)
        for upload in list(self.uploads.values()):
            upload.fail(error)
            async with self._lock(upload.transfer.id):
                await self._close(upload)
        for download in list(self.downloads):
            self.end_downloads(download.transfer.id, error=error)
        for id in list(self._waiting):
            self.end_downloads(id, error=error)


__all__ = ["Channels", "Download", "DownloadSink"]
