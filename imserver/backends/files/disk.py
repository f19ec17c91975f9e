"""Parts and blobs as files in one directory; all work is done on threads.

A part is appended to and synced. Made a blob, it is synced once more and gets the blob's
name beside its own, and the directory is synced; so a blob is there as a whole or not at
all. The part's name goes when the store knows of the blob (`discard`): a crash in between
leaves a whole part, and nothing that was acknowledged is missing. What was appended is
hashed on the way; after a restart the part is read again at its end.

Several servers may share the directory. Whoever has a part open has it locked (flock), so
nobody else writes it, not even a server that stood still and goes on; blobs are made and removed under
locks of their own (`locks`, one for each beginning of a hash).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from imserver.backends.files.locks import DiskLock, is_at, take
from imserver.model.errors import ErrorCode, ImError, alone
from imserver.services.file_ports import Mismatch, Piece
from imserver.services.ports import Threads

VECTOR = 512
"""Pieces written by one call."""
SLICE = 1024 * 1024
"""Bytes read at a time when a part is hashed again."""


def unavailable() -> ImError:
    """What a failing or full disk is answered with."""
    return ImError(ErrorCode.UNAVAILABLE, "the disk does not take the file now; try again later")


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What it returns, or the OSError that it raises, without its stack."""
    try:
        return function(*arguments)
    except OSError as error:
        return alone(error)


def blob_path(directory: Path, sha256: str) -> Path:
    """Where a blob is in the directory of files."""
    return directory / "blobs" / sha256[:2] / sha256


class DiskBlobs:
    """`services.file_ports.Blobs` over a directory.

    Args:
        directory: made when the first file comes (0700, files 0600).
        threads: where the disk is waited for.
    """

    log = Logger()

    def __init__(self, directory: Path, threads: Threads) -> None:
        self._parts = directory / "parts"
        self._blobs = directory / "blobs"
        self._locks = directory / "locks"
        self._threads = threads

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs it on a thread.

        Raises:
            ImError: UNAVAILABLE, if the disk fails or too much waits for it.
        """
        # Returned, not as a failure: that makes a cycle with all who wait, and the bytes they hold.
        found = await self._threads.call(_outcome, function, arguments)
        if isinstance(found, OSError):
            self.log.error("files: {error}", error=found.strerror or str(found))
            raise unavailable() from found
        return found

    def blob_path(self, sha256: str) -> Path:
        """Where a blob is."""
        return blob_path(self._blobs.parent, sha256)

    async def part(self, transfer: str) -> DiskPart | None:
        """See Blobs."""
        path = self._parts / transfer
        opened = await self.run(self._open_part, path)
        return None if opened is None else DiskPart(self, path, *opened)

    def _make_directories(self) -> None:
        for directory in (self._parts.parent, self._parts, self._blobs, self._locks):
            if not directory.is_dir():
                directory.mkdir(mode=0o700, exist_ok=True)
                sync_directory(directory.parent)

    def _open_part(self, path: Path) -> tuple[int, int] | None:
        self._make_directories()
        fresh = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Who removed it, or put another one in its place, had it locked until then.
            if not take(descriptor) or not is_at(descriptor, path):
                os.close(descriptor)
                return None
            if fresh:
                sync_directory(self._parts)
            return descriptor, os.fstat(descriptor).st_size
        except BaseException:
            os.close(descriptor)
            raise

    async def length(self, transfer: str) -> int:
        """See Blobs."""
        return int(await self.run(_length, self._parts / transfer))

    async def lock(self, sha256: str) -> DiskLock | None:
        """See Blobs."""
        descriptor = await self.run(self._lock, self._locks / sha256[:2])
        return None if descriptor is None else DiskLock(descriptor)

    def _lock(self, path: Path) -> int | None:
        self._make_directories()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if take(descriptor):
            return descriptor
        os.close(descriptor)
        return None

    async def discard(self, transfer: str) -> None:
        """See Blobs."""
        await self.run((self._parts / transfer).unlink, True)

    async def blob(self, sha256: str) -> DiskBlob | None:
        """See Blobs."""
        opened = await self.run(_open_blob, self.blob_path(sha256))
        return None if opened is None else DiskBlob(self, *opened)

    async def listing(self) -> tuple[set[str], set[str]]:
        """See Blobs."""
        found: tuple[set[str], set[str]] = await self.run(self._list)
        return found

    def _list(self) -> tuple[set[str], set[str]]:
        blobs = {path.name for path in self._blobs.glob("??/*")}
        parts = {path.name for path in self._parts.glob("*")}
        return blobs, parts

    async def remove(self, sha256: str) -> None:
        """See Blobs."""
        await self.run(self.blob_path(sha256).unlink, True)


class DiskPart:
    """`services.file_ports.Part`."""

    def __init__(self, blobs: DiskBlobs, path: Path, descriptor: int, length: int) -> None:
        self._blobs = blobs
        self._path = path
        self._descriptor = descriptor
        self._length = length
        self._hash = hashlib.sha256()
        self._hashed = 0

    @property
    def length(self) -> int:
        """See Part."""
        return self._length

    async def append(self, pieces: Sequence[Piece]) -> int:
        """See Part."""
        self._length = await self._blobs.run(self._append, pieces)
        return self._length

    def _append(self, pieces: Sequence[Piece]) -> int:
        at = self._length
        try:
            for start in range(0, len(pieces), VECTOR):
                at = self._write(pieces[start : start + VECTOR], at)
            os.fdatasync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._length)
            raise
        if self._hashed == self._length:
            for piece in pieces:
                self._hash.update(piece)
            self._hashed = at
        return at

    def _write(self, pieces: Sequence[Piece], at: int) -> int:
        end = at + sum(map(len, pieces))
        at += os.pwritev(self._descriptor, pieces, at)
        if at < end:  # seldom: the rest as one
            rest = memoryview(b"".join(pieces))[at - end :]
            while rest:
                written = os.pwrite(self._descriptor, rest, at)
                at += written
                rest = rest[written:]
        return at

    async def verify(self, size: int, sha256: str) -> str:
        """See Part."""
        found = await self._blobs.run(self._verify, size, sha256)
        if found is None:
            self._length = 0
            raise Mismatch
        return str(found)

    def _verify(self, size: int, sha256: str) -> str | None:
        if self._hashed != self._length:
            self._read_again()
        found = self._hash.hexdigest()
        if self._length != size or (sha256 and found != sha256):
            self._begin_again()
            return None
        os.fsync(self._descriptor)
        return found

    async def keep(self, sha256: str) -> None:
        """See Part."""
        await self._blobs.run(self._keep, sha256)

    def _keep(self, sha256: str) -> None:
        target = self._blobs.blob_path(sha256)
        if not target.parent.is_dir():
            target.parent.mkdir(mode=0o700, exist_ok=True)
            sync_directory(target.parent.parent)
        # A blob of this name has these bytes already.
        with contextlib.suppress(FileExistsError):
            os.link(self._path, target)
        sync_directory(target.parent)

    def _begin_again(self) -> None:
        """An empty part in the place of this one, whose bytes may be a blob's, too."""
        self._path.unlink(missing_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.close(self._descriptor)
        self._descriptor = descriptor
        if not take(descriptor):
            raise OSError("another server has taken the part")
        sync_directory(self._path.parent)
        self._hash, self._hashed = hashlib.sha256(), 0

    def _read_again(self) -> None:
        """Hashes what a process before this one, or a failed append, left unhashed."""
        self._hash, self._hashed = hashlib.sha256(), 0
        while self._hashed < self._length:
            data = os.pread(self._descriptor, min(SLICE, self._length - self._hashed), self._hashed)
            if not data:
                raise OSError("a part is shorter than it was")
            self._hash.update(data)
            self._hashed += len(data)

    async def close(self) -> None:
        """See Part."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _length(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0


def _open_blob(path: Path) -> tuple[int, int] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    return descriptor, os.fstat(descriptor).st_size


def _read_pieces(descriptor: int, offset: int, length: int, size: int) -> list[bytes]:
    pieces = []
    for start in range(0, length, size):
        piece = os.pread(descriptor, min(size, length - start), offset + start)
        if piece:
            pieces.append(piece)
        if len(piece) < size:
            break
    return pieces


class DiskBlob:
    """`services.file_ports.Blob`."""

    def __init__(self, blobs: DiskBlobs, descriptor: int, size: int) -> None:
        self._blobs = blobs
        self._descriptor = descriptor
        self._reading = 0
        self._closed = False
        self._size = size

    @property
    def size(self) -> int:
        """See Blob."""
        return self._size

    async def read(self, offset: int, length: int) -> bytes:
        """See Blob."""
        data: bytes = await self._run(os.pread, self._descriptor, length, offset)
        return data

    async def pieces(self, offset: int, length: int, size: int) -> list[bytes]:
        """See Blob."""
        found: list[bytes] = await self._run(_read_pieces, self._descriptor, offset, length, size)
        return found

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._closed:
            raise unavailable()
        self._reading += 1
        try:
            return await self._blobs.run(function, *arguments)
        finally:
            self._reading -= 1
            self._close()

    def close(self) -> None:
        """See Blob."""
        self._closed = True
        self._close()

    def _close(self) -> None:
        if self._closed and not self._reading and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
