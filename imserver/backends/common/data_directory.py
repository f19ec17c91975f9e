"""A data directory of a server's own, and the lock that only one process holds."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

LOCK_NAME = "imserver.lock"


class DataDirectoryError(Exception):
    """The data directory cannot be used; the text is one clear line for the operator."""


class DataDirectoryInUse(DataDirectoryError):
    """Another process holds the lock."""


class DirectoryLock:
    """The lock of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock: int | None = None

    def take(self) -> None:
        """Creates the directory (0700) if it is missing, and locks it. Raises DataDirectoryError."""
        try:
            if not self._directory.is_dir():
                self._directory.mkdir(mode=0o700, parents=True)
            lock = os.open(self._directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirectoryError(f"{self._directory}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise DataDirectoryInUse(f"{self._directory} is in use by another process") from None
        except OSError as error:
            os.close(lock)
            raise DataDirectoryError(f"{self._directory}: {error.strerror}") from error
        self._lock = lock

    def let_go(self) -> None:
        """Unlocks it. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
