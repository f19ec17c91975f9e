"""A place for bytes in memory that a test can fill up, hold back and crash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from twisted.internet.defer import Deferred

from imserver.backends.files.disk import unavailable
from imserver.services.file_ports import Mismatch, Piece


class MemoryBlobs:
    """`services.file_ports.Blobs`.

    Attributes:
        parts / blobs: what is synced; it survives `crash`.
        room: bytes that still fit; None = any number.
        held: while True appends wait for `release`.
        largest: most bytes ever appended at a time.
    """

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.room: int | None = None
        self.held = False
        self.largest = 0
        self.waiting: list[Deferred[None]] = []
        self.epoch = 0

    def release(self) -> None:
        """Lets the appends that wait go on."""
        self.held = False
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(None)

    def crash(self) -> None:
        """The process ends here: what it had under way never comes to an end."""
        self.epoch += 1
        self.held = False
        self.waiting.clear()

    async def part(self, transfer: str) -> MemoryPart:
        self.parts.setdefault(transfer, b"")
        return MemoryPart(self, transfer)

    async def length(self, transfer: str) -> int:
        return len(self.parts.get(transfer, b""))

    async def lock(self, sha256: str) -> MemoryLock:
        return MemoryLock()

    async def discard(self, transfer: str) -> None:
        self.parts.pop(transfer, None)

    async def blob(self, sha256: str) -> MemoryBlob | None:
        data = self.blobs.get(sha256)
        return None if data is None else MemoryBlob(data)

    async def listing(self) -> tuple[set[str], set[str]]:
        return set(self.blobs), set(self.parts)

    async def remove(self, sha256: str) -> None:
        self.blobs.pop(sha256, None)


class MemoryLock:
    """`services.file_ports.Lock`: there is one server only."""

    def release(self) -> None:
        pass


class MemoryPart:
    """`services.file_ports.Part`."""

    def __init__(self, blobs: MemoryBlobs, name: str) -> None:
        self._blobs = blobs
        self._name = name
        self._epoch = blobs.epoch
        self.closed = False

    @property
    def length(self) -> int:
        return len(self._blobs.parts.get(self._name, b""))

    async def append(self, pieces: Sequence[Piece]) -> int:
        assert not self.closed
        data = b"".join(pieces)
        blobs = self._blobs
        blobs.largest = max(blobs.largest, len(data))
        if blobs.held:
            turn: Deferred[None] = Deferred()
            blobs.waiting.append(turn)
            await turn
        await self._alive()
        if blobs.room is not None:
            if blobs.room < len(data):
                raise unavailable()
            blobs.room -= len(data)
        blobs.parts[self._name] += data
        return self.length

    async def _alive(self) -> None:
        if self._epoch != self._blobs.epoch:
            await Deferred()  # of a process that is gone

    async def verify(self, size: int, sha256: str) -> str:
        assert not self.closed
        await self._alive()
        data = self._blobs.parts[self._name]
        found = hashlib.sha256(data).hexdigest()
        if len(data) != size or (sha256 and sha256 != found):
            self._blobs.parts[self._name] = b""
            raise Mismatch
        return found

    async def keep(self, sha256: str) -> None:
        await self._alive()
        self._blobs.blobs[sha256] = self._blobs.parts[self._name]

    async def close(self) -> None:
        assert not self.closed
        self.closed = True


class MemoryBlob:
    """`services.file_ports.Blob`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.closed = False

    @property
    def size(self) -> int:
        return len(self._data)

    async def read(self, offset: int, length: int) -> bytes:
        assert not self.closed
        return self._data[offset : offset + length]

    async def pieces(self, offset: int, length: int, size: int) -> list[bytes]:
        data = await self.read(offset, length)
        return [data[start : start + size] for start in range(0, len(data), size)]

    def close(self) -> None:
        self.closed = True
