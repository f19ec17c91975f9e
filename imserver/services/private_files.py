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
        _write(temporary, data)
        temporary.replace(path)
        _keep(path.parent)
    except OSError as error:
        raise KeyRingError(f"{path}: cannot be written: {error.strerror}") from error


def create_private(path: Path, data: bytes) -> bool:
    """Makes a file of mode 0600 unless there is one; False: another process was faster.

    Raises:
        KeyRingError: it could not be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        _write(temporary, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        _keep(path.parent)
    except OSError as error:
        raise KeyRingError(f"{path}: cannot be written: {error.strerror}") from error
    return True


def _write(path: Path, data: bytes) -> None:
    # What a crash left over may have another mode.
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _keep(folder: Path) -> None:
    """Makes names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
