"""Verified files on their shelf: put there with their records, taken away when no record refers to them."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.internet.defer import DeferredLock

from imserver.model.errors import ErrorCode, ImError
from imserver.services.file_ports import Blobs, FileStore, Part, State, Transfer
from imserver.services.named_locks import NamedLock


class Shelf:
    """See the module.

    A blob may be another file's, too. Were one taken away between the moment in which an upload finds it
    there and its record, the file would be lost; so both are done one at a time for each hash.
    """

    def __init__(self, store: FileStore, blobs: Blobs) -> None:
        self._store = store
        self._blobs = blobs
        self._locks: dict[str, DeferredLock] = {}

    async def put(self, transfer: Transfer, part: Part, sha256: str) -> Transfer:
        """Makes a verified part a blob, and the transfer STORED.

        Raises:
            ImError: NOT_FOUND if the transfer ended meanwhile; UNAVAILABLE.
        """
        async with NamedLock(self._locks, sha256):
            await part.keep(sha256)
            if not await self._store.move_transfer(transfer.id, State.OPEN, State.STORED, sha256=sha256):
                raise ImError(ErrorCode.NOT_FOUND, "the transfer ended meanwhile")
        return replace(transfer, state=State.STORED, sha256=sha256)

    async def take_away(self, sha256: str) -> None:
        """Removes a blob, unless a stored file has this hash by now. UNAVAILABLE."""
        async with NamedLock(self._locks, sha256):
            kept, _ = await self._store.kept({sha256}, ())
            if not kept:
                await self._blobs.remove(sha256)
