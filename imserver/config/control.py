"""Where the control socket of a data directory is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET_NAME = "control.sock"
_MAX_ADDRESS = 107


@contextmanager
def control_address(data: Path) -> Iterator[str]:
    """An address for `control.sock` in a data directory, valid inside the `with` block.

    Addresses of unix sockets are short. A longer path is reached through a
    descriptor of its directory.

    Raises:
        OSError: there is no such directory.
    """
    path = str(data / SOCKET_NAME)
    if len(os.fsencode(path)) <= _MAX_ADDRESS:
        yield path
        return
    directory = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET_NAME}"
    finally:
        os.close(directory)
