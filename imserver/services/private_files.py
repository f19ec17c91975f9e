"""Small files that only the server's own user may read: keys."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


class KeyRingError(Exception):
    """The keys cannot be used; the text is one line for the operator."""


def read_private(path: Path) -> bytes | None:
    """What a file holds; None if there is none.

    Raises:
        KeyRingError: unreadable, or open to other users of the machine.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyRingError(f"{path}: cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise KeyRingError(f"{path}: other users may read it (mode {mode:04o}); chmod 600 it")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Puts a file of mode 0600 in the place of the old one; afterwards it is on the disk.

    Raises:
        KeyRingError: it could not be written; then the old one is still there.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        # What a crash left over may have another mode.
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyRingError(f"{path}: cannot be written: {error.strerror}") from error
