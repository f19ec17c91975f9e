"""Files that are sent, as far as the process is concerned: their place, threads, rounds and end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from imserver.backends.files import DiskBlobs
from imserver.model.errors import ImError
from imserver.services.file_keeping import FileKeeping
from imserver.services.files import Files
from imserver.tap.listening import OpenPort, channel_ports
from imserver.tap.threads import BoundedThreads

QUEUE = 10_000


class Filing:
    """See the module.

    Args:
        directory: where the bytes are kept.
        threads: how many wait for the disk.

    Attributes:
        directory, blobs: the place for bytes.
    """

    log = Logger()

    def __init__(self, reactor: Any, directory: Path, threads: int) -> None:
        self._threads = BoundedThreads(reactor, threads, QUEUE, "imserver-file")
        self.directory = directory
        self.blobs = DiskBlobs(directory, self._threads)
        self._files: Files | None = None
        self._keeping: FileKeeping | None = None

    def start(self) -> None:
        """Starts the threads."""
        self._threads.start()

    async def open(self, files: Files, ports: Sequence[OpenPort], *, owned: bool) -> None:
        """The listeners are open: tells where the channel is, and sends what a crash kept from being sent.

        Args:
            owned: all that is in the folder is this server's.
        """
        self._files = files
        self._keeping = FileKeeping(files, collects=owned)
        files.ports = channel_ports(ports)
        try:
            await self._keeping.send_messages()
        except ImError as error:
            self.log.warn("messages of files were not sent yet: {code}", code=error.code)

    async def round(self, now: float) -> None:
        """See `FileKeeping.round`."""
        if self._keeping is not None:
            await self._keeping.round(now)

    async def close(self) -> None:
        """Ends every transfer of bytes; before the doors shut."""
        if self._files is not None:
            await self._files.close()

    def stop(self) -> None:
        """Stops the threads."""
        self._threads.stop()
