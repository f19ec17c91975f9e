"""One download that is under way."""

from __future__ import annotations

from typing import Protocol

from imserver.model.errors import ImError
from imserver.services.file_ports import Blob, Transfer


class DownloadSink(Protocol):
    """Who takes a download."""

    @property
    def ended(self) -> bool:
        """Whether it takes nothing more: it need not wait for a file to become whole."""

    def download_ended(self, error: ImError) -> None:
        """Nothing more can be read. Called at most once, never after `Channels.close_download`."""


class Download:
    """One recipient's way to a whole file.

    Attributes:
        transfer: with the file's hash.
        blob: its bytes.
        sid: the log-in of who asked.
    """

    def __init__(self, user: str, transfer: Transfer, blob: Blob, sink: DownloadSink, sid: str) -> None:
        self.user = user
        self.sid = sid
        self.transfer = transfer
        self.blob = blob
        self.sink = sink
