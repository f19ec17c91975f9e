"""Verified files on their shelf: put there with their records, taken away when no record refers to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from imserver.model.errors import ErrorCode, ImError
from imserver.services.file_ports import Blobs, FileStore, Part, State, Transfer
from imserver.services.named_locks import NamedLock

PAUSE = 0.05
PATIENCE = 30.0
"""Seconds for which another server is waited for that makes or removes a blob."""


class Shelf:
    """See the module.

    A blob may be another file's, too. Were one taken away between the moment in which an upload finds it
    there and its record, the file would be lost; so both are done one at a time for each hash,
    over all servers that share the place.

    Args:
        clock: times the attempts.
    """

    def __init__(self, store: FileStore, blobs: Blobs, clock: IReactorTime) -> None:
        self._clock = clock
        self._store = store
        self._blobs = blobs
        self._locks: dict[str, DeferredLock] = {}

    async def put(self, transfer: Transfer, part: Part, sha256: str) -> Transfer:
        """Makes a verified part a blob, and the transfer STORED.

        Raises:
            ImError: NOT_FOUND if the transfer ended meanwhile; UNAVAILABLE.
        """
        async with self._alone(sha256):
            await part.keep(sha256)
            moved = await self._store.move_transfer(transfer.id, State.OPEN, State.STORED, sha256=sha256)
            if not moved and not await self._is_stored(transfer.id, sha256):
                raise ImError(ErrorCode.NOT_FOUND, "the transfer ended meanwhile")
        return replace(transfer, state=State.STORED, sha256=sha256)

    async def _is_stored(self, transfer: str, sha256: str) -> bool:
        """Whether it was done before, and the answer did not come."""
        known = await self._store.transfer(transfer)
        return known is not None and known.state is State.STORED and known.sha256 == sha256

    async def take_away(self, sha256: str) -> None:
        """Removes a blob, unless a stored file has this hash by now. UNAVAILABLE."""
        async with self._alone(sha256):
            kept, _ = await self._store.kept({sha256}, ())
            if not kept:
                await self._blobs.remove(sha256)

    @asynccontextmanager
    async def _alone(self, sha256: str) -> AsyncIterator[None]:
        async with NamedLock(self._locks, sha256):
            until = self._clock.seconds() + PATIENCE
            while (lock := await self._blobs.lock(sha256)) is None:
                if self._clock.seconds() > until:
                    raise ImError(
                        ErrorCode.UNAVAILABLE, "another server is busy with the file; try again later"
                    )
                await deferLater(self._clock, PAUSE)
            try:
                yield
            finally:
                lock.release()
