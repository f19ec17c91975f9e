"""What becomes of files with time: expiry, bytes that nobody refers to, messages that were not sent yet."""

from __future__ import annotations

from twisted.logger import Logger

from imserver.model.errors import ErrorCode, ImError
from imserver.services.file_nodes import FileNote, What
from imserver.services.file_ports import Transfer
from imserver.services.files import Files

SLICE = 200
"""Transfers that are seen to between two commits."""


class FileKeeping:
    """The rounds of the file service.

    What is on the disk without a record is removed only if the round before saw it, too: it may be about
    to get one.

    Args:
        collects: whether that is this server's to remove.
    """

    log = Logger()

    def __init__(self, files: Files, *, collects: bool = True) -> None:
        self._files = files
        self._collects = collects
        self._seen: tuple[set[str], set[str]] = (set(), set())

    async def round(self, now: float) -> None:
        """Everything that is due at `now` (float seconds).

        Raises:
            ImError: UNAVAILABLE if the disk failed; the next round goes on.
        """
        self._files.tickets.sweep()
        await self.send_messages()
        while due := await self._files.store.expire(now, SLICE):
            for transfer in due:
                await self._expired(transfer)
        grace = self._files.settings.expiry_seconds
        while await self._files.store.forget(now - grace, SLICE) == SLICE:
            pass
        if self._collects:
            await self._collect()

    async def send_messages(self) -> None:
        """Sends what a crash or a full disk kept from being sent."""
        for transfer in await self._files.store.unsent(SLICE):
            await self._files.news.send_message(transfer)

    async def _expired(self, transfer: Transfer) -> None:
        why = "the file expired"
        self._files.nodes.say(FileNote(What.OVER, transfer.id, text=why))
        await self._files.channels.end(transfer.id, ImError(ErrorCode.NOT_FOUND, why))

    async def _collect(self) -> None:
        """Removes blobs and parts without a transfer."""
        files = self._files
        blobs, parts = await files.blobs.listing()
        kept_blobs, kept_parts = await files.store.kept(blobs, parts)
        lost = (blobs - kept_blobs, parts - kept_parts)
        for sha256 in lost[0] & self._seen[0]:
            await files.channels.shelf.take_away(sha256)
        for part in lost[1] & self._seen[1]:
            await files.blobs.discard(part)
        self._seen = lost
