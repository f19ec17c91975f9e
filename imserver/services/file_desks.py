"""What one chat session has under way of files (`services.file_inband`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from imserver.model.errors import ImError
from imserver.model.files import AckChunks, CancelFile
from imserver.services.file_channels import Download
from imserver.services.file_uploads import Upload
from imserver.services.sessions import Receiver


class Seat(Protocol):
    """A live session, as far as its files are concerned."""

    receiver: Receiver
    feeder: Callable[[], None] | None


class Incoming:
    """An upload of one session; its UploadSink.

    Args:
        over: called when it is ended from elsewhere.
    """

    def __init__(self, name: str, seat: Seat, over: Callable[[], None]) -> None:
        self.name = name
        self.upload: Upload | None = None
        self._seat = seat
        self._over = over
        self._room: Deferred[None] | None = None

    def upload_kept(self, offset: int) -> None:
        """See UploadSink."""
        self._seat.receiver.notify(AckChunks(self.name, offset))
        self._go_on()

    def upload_ended(self, error: ImError) -> None:
        """See UploadSink."""
        self._seat.receiver.notify(CancelFile(self.name, error.text))
        self._over()

    def end(self) -> None:
        """Nothing more is taken: who waits for room goes on."""
        self.upload = None
        self._go_on()

    def _go_on(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    async def room(self) -> None:
        """Waits while too much waits for the disk."""
        while self.upload is not None and self.upload.full:
            self._room = Deferred()
            await self._room


class Outgoing:
    """A download of one session; its DownloadSink.

    Args:
        over: called when it is ended from elsewhere.
    """

    def __init__(self, seat: Seat, over: Callable[[], None]) -> None:
        self.download: Download | None = None
        self.ended = False
        self._seat = seat
        self._over = over

    def download_ended(self, error: ImError) -> None:
        """See DownloadSink."""
        if self.download is not None and not self.ended:
            self._seat.receiver.notify(CancelFile(self.download.transfer.id, error.text))
        self.ended = True
        self._over()


class Desk(Struct, eq=False):
    """What one session has under way, by its own ids (uploads) and the server's (downloads)."""

    user: str
    seat: Seat
    uploads: dict[str, Incoming] = {}
    downloads: dict[str, Outgoing] = {}
    waiting: list[Deferred[None]] = []

    def feed(self) -> None:
        """The outbox has room again."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(None)

    async def room(self) -> None:
        """Waits until the session takes more."""
        while self.downloads and not self.seat.receiver.writable:
            room: Deferred[None] = Deferred()
            self.waiting.append(room)
            await room
