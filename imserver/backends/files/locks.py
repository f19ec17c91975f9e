"""Locks of files, between processes and, where the file system has them, between machines."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class DiskLock:
    """`services.file_ports.Lock`: the end of its process lets go of it, too."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """See Lock."""
        os.close(self._descriptor)


def take(descriptor: int) -> bool:
    """Locks a file, unless it is locked by another one who has it open."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether a file that is open is the one that is there now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False
