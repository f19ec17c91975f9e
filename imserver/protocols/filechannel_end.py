"""What every file channel has, whichever way its bytes go: a beginning, an end, and patience."""

from __future__ import annotations

from typing import Any, cast
from typing import Protocol as Shape

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.model.errors import ErrorCode, ImError
from imserver.protocols.connections import Admission
from imserver.protocols.doors import Doors
from imserver.services.file_downloads import Download, DownloadSink
from imserver.services.file_table import Ticket
from imserver.services.file_uploads import Upload
from imserver.services.files import Files
from imserver.wire import filechannel
from imserver.wire.filechannel import Failed, Frame, FrameBuffer, Seal

WHOLE_WITHIN = 600.0
"""Seconds that a recipient's channel waits for its file to become whole: as long as a channel token is
good. The peer says nothing meanwhile, so whether it is still there could not be told."""


class ChannelFactory(Shape):
    """What builds channels."""

    doors: Doors
    files: Files


class FileChannelEnd(Protocol):
    """This server's end of a channel.

    Attributes:
        wheel_slot: the wheel's.
    """

    transport: Any
    log = Logger()
    wheel_slot = -1

    def __init__(self, factory: ChannelFactory, admission: Admission) -> None:
        self._factory = factory
        self._doors = factory.doors
        self._channels = factory.files.channels
        self._admission = admission
        self._buffer = FrameBuffer(self._channels.chunk)
        self._frames: list[Frame] | None = []  # waiting while something is awaited; None: over
        self._busy = False
        self._ticket: Ticket | None = None
        self._upload: Upload | None = None
        self._download: Download | None = None
        self._seal: Seal | None = None
        self._at = 0  # bytes of the file that were sent
        self._waits = False  # for the file to become whole
        self._ending = False  # END was received
        self._paused = False  # the peer takes nothing more now
        self._reading = False  # the disk is being read
        self._deaf = False  # the connection is not read
        self._moved = 0.0  # when bytes were last moved
        self._producing = False  # registered with the transport
        self._closing = False

    def connectionMade(self) -> None:
        """See IProtocol."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._moved = now = self._doors.clock.seconds()
        self._doors.wheel.watch(self, now + self._doors.limits.handshake_time)

    def _start(self, work: Any) -> None:
        running = ensureDeferred(work)
        running.addErrback(self._work_failed)

    def _work_failed(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, ImError):
            self.log.failure("a file channel failed", failure)
            error = ImError(ErrorCode.INTERNAL, "internal error")
        self._fail(error)

    @property
    def ended(self) -> bool:
        """See DownloadSink."""
        return self._frames is None

    # The end

    def _write(self, frame: Frame) -> None:
        if not self._closing:
            self.transport.write(filechannel.encode(frame))

    def _fail(self, error: ImError) -> None:
        """Tells the peer why, and ends the channel."""
        if not self._closing:
            transfer = "" if self._ticket is None else self._ticket.transfer
            self._write(Failed(error, transfer))
            self._finish_writing()

    def _finish_writing(self) -> None:
        """Closes after what was written; the peer has `closing_time` to take it."""
        if self._closing:
            return
        self._closing = True
        self._frames = None
        self._let_go()
        if self._producing:
            self.transport.unregisterProducer()
        self._doors.wheel.watch(self, self._doors.clock.seconds() + self._doors.limits.closing_time)
        if self._deaf:
            # What still comes in is dropped; unread, it would reset the connection.
            self._deaf = False
            self.transport.resumeProducing()
        if isinstance(self.transport, FileDescriptor):
            # Closing outright while bytes of the peer are still coming in would reset the
            # connection, and what was written last could be lost with it.
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def _let_go(self) -> None:
        if self._ticket is not None and self._download is None:
            self._channels.stop_waiting(self._ticket.transfer, cast(DownloadSink, self))
        upload, self._upload = self._upload, None
        download, self._download = self._download, None
        if upload is not None:
            self._start(self._channels.close_upload(upload))
        if download is not None:
            self._channels.close_download(download)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self._closing = True
        self._frames = None
        self._doors.wheel.forget(self)
        self._let_go()
        if self._ticket is not None:
            self._channels.leave(self._ticket.user)
        self._admission.release()

    def check(self, now: float) -> float | None:
        """See liveness.Watched."""
        limits = self._doors.limits
        if self._closing:
            self.transport.abortConnection()
            return None
        if self._ticket is None:
            self._fail(ImError(ErrorCode.AUTH_FAILED, "no HELLO came in time"))
            return None
        waits = self._busy or self._deaf or (self._upload is not None and self._ending)
        if self._upload is not None and not waits and now - self._moved >= limits.silence:
            self._fail(ImError(ErrorCode.UNAVAILABLE, "no sign of life"))
        elif self._download is not None and not self._reading:
            patience = limits.silence if self._ending else limits.slow_after
            if now - self._moved >= patience:
                self._fail(ImError(ErrorCode.UNAVAILABLE, "nothing was read for too long"))
        elif self._waits and now - self._moved >= WHOLE_WITHIN:
            self._fail(ImError(ErrorCode.UNAVAILABLE, "the file is not whole yet: ask for it again"))
        return None if self._closing else now + limits.check_interval
