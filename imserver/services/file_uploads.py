"""One upload that is under way: bytes in order, synced in large pieces, never much in memory."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from imserver.model.errors import ErrorCode, ImError, alone
from imserver.services.file_ports import Part, Piece, Transfer

STEP = 512 * 1024
"""Bytes that are worth a sync at once."""
FULL = 960 * 1024
"""Bytes that wait for the disk from which on nothing more is read. With what one more read may bring (64 KiB)
they are 1 MiB, and so much is never left without an acknowledgement."""
SMALL = 4096
"""Pieces of fewer bytes are joined: each would cost more memory than it has bytes."""
PATIENCE = 0.2
"""Seconds after which fewer bytes than STEP are synced, too."""


class UploadSink(Protocol):
    """Who feeds an upload. Neither may raise."""

    def upload_kept(self, offset: int) -> None:
        """Everything below is synced; and there is room again."""

    def upload_ended(self, error: ImError) -> None:
        """Nothing more is taken. Called at most once, never after `Upload.close`."""


class Upload:
    """Where the bytes of one transfer go. `Files` makes it and closes it.

    Attributes:
        transfer: as it was when the upload began.
        position: bytes that came in; the next offset.
        sid: the log-in of who sends.
    """

    def __init__(
        self, transfer: Transfer, part: Part | None, sink: UploadSink, clock: IReactorTime, sid: str = ""
    ) -> None:
        """Args:
        part: None = the file is whole already.
        """
        self.sid = sid
        self.transfer = transfer
        self.part = part
        self.position = transfer.size if part is None else part.length
        self._sink: UploadSink | None = sink
        self._clock = clock
        self._pending: list[Piece] = []
        self._bytes = 0  # in _pending
        self._writing = False
        self._timer: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []
        self._error: ImError | None = None

    @property
    def full(self) -> bool:
        """Whether so much waits for the disk that nothing more should be read."""
        return self._bytes >= FULL

    def feed(self, offset: int, data: bytes | memoryview) -> None:
        """Takes the next bytes; they must not change afterwards.

        Raises:
            ImError: BAD_REQUEST for bytes that are not the next ones or beyond the file's end; or why the
                upload ended.
        """
        if self._error is not None:
            raise self._why()
        if offset != self.position:
            raise ImError(ErrorCode.BAD_REQUEST, f"the next offset is {self.position}")
        if offset + len(data) > self.transfer.size:
            raise ImError(ErrorCode.BAD_REQUEST, "the file is longer than was announced")
        if not data:
            return
        if len(data) >= SMALL:
            self._pending.append(data)
        elif self._pending and type(self._pending[-1]) is bytearray:
            self._pending[-1] += data
        else:
            self._pending.append(bytearray(data))
        self._bytes += len(data)
        self.position += len(data)
        if self._bytes >= STEP or self.position == self.transfer.size:
            self._write()
        elif self._timer is None and not self._writing:
            self._timer = self._clock.callLater(PATIENCE, self._waited)

    def _waited(self) -> None:
        self._timer = None
        self._write()

    def _write(self) -> None:
        if self._writing or not self._pending or self._error is not None:
            return
        assert self.part is not None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pieces, self._pending, self._bytes = self._pending, [], 0
        self._writing = True
        ensureDeferred(self.part.append(pieces)).addCallbacks(self._written, self._failed)

    def _written(self, length: int) -> None:
        self._writing = False
        if self._sink is not None:
            self._sink.upload_kept(length)
        if self._writing:
            return  # more came in at once
        if self._bytes >= STEP or self._idle:
            self._write()
        elif self._pending and self._timer is None:
            self._timer = self._clock.callLater(PATIENCE, self._waited)
        self._tell_idle()

    def _failed(self, failure: Failure) -> None:
        self._writing = False
        error = failure.value
        if not isinstance(error, ImError):
            error = ImError(ErrorCode.INTERNAL, "the file could not be written")
        self.fail(error)
        self._tell_idle()

    def fail(self, error: ImError) -> None:
        """Ends it: nothing more is taken, and the sink is told."""
        if self._error is None:
            self._error = alone(error)
            self._pending, self._bytes = [], 0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            sink, self._sink = self._sink, None
            if sink is not None:
                sink.upload_ended(error)

    def _why(self) -> ImError:
        """Why it ended, to be raised: another one each time, since the stack that it gets has this upload."""
        assert self._error is not None
        return ImError(self._error.code, self._error.text)

    def _tell_idle(self) -> None:
        if not self._writing:
            waiting, self._idle = self._idle, []
            for one in waiting:
                one.callback(None)

    async def flush(self) -> None:
        """Waits until everything that came in is synced.

        Raises:
            ImError: why the upload ended.
        """
        self._write()
        while self._writing:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle
        if self._error is not None:
            raise self._why()

    async def close(self) -> None:
        """Lets go of the part once nothing is being written; what came in and is not written is dropped."""
        self._sink = None
        self.fail(ImError(ErrorCode.UNAVAILABLE, "the upload was closed"))
        while self._writing:
            idle: Deferred[None] = Deferred()
            self._idle.append(idle)
            await idle
        if self.part is not None:
            await self.part.close()
