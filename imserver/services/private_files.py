"""Small files that only the server's own user may read: keys. Several servers may share one."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path


class KeyRingError(Exception):
    """The keys cannot be used; the text is one line for the operator."""


class PrivateFile:
    """A file of mode 0600.

    Attributes:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[int, int, int, int] | None = None

    def read(self) -> bytes | None:
        """What it holds; None if there is none.

        Raises:
            KeyRingError: unreadable, or open to other users of the machine.
        """
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyRingError(f"{self.path}: cannot be read: {error.strerror}") from error
        self._known = _state(status)
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            raise KeyRingError(f"{self.path}: other users may read it (mode {mode:04o}); chmod 600 it")
        return data

    def changed(self) -> bool:
        """Whether it is another one than was read or written last; a missing one has not changed."""
        try:
            return _state(self.path.stat()) != self._known
        except OSError:
            return False

    def write(self, data: bytes) -> None:
        """Puts a file in the place of the old one; afterwards it is on the disk.

        Raises:
            KeyRingError: it could not be written; then the old one is still there.
        """
        self._put(data, os.replace)

    def create(self, data: bytes) -> bool:
        """Like `write`; False, and nothing done, if there is one: another server may have been faster.

        Raises:
            KeyRingError: it could not be written.
        """
        try:
            self._put(data, os.link)
        except FileExistsError:
            return False
        return True

    def _put(self, data: bytes, place: Callable[[Path, Path], None]) -> None:
        # One for each process: two servers may write at the same time.
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            # What a crash left over may have another mode.
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                known = _state(os.fstat(file.fileno()))
            place(temporary, self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except FileExistsError:
            raise
        except OSError as error:
            raise KeyRingError(f"{self.path}: cannot be written: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        self._known = known


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode
