"""Whose the folder of files is: one message store's, and the same folder on all its nodes.

What no store knows of is removed from the folder after two rounds. A server that is pointed to the wrong
Redis, or whose Redis came back empty, would so remove every file there. Therefore the folder and the store
bear the same id, and where they do not, nothing is removed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.logger import Logger

MARKER = "store-id"
_log = Logger()


async def claim(
    directory: Path, ask: Callable[[str], Awaitable[str]], random_bytes: Callable[[int], bytes]
) -> bool:
    """Whether what is in a folder is this store's to remove. Says so where it is not.

    Args:
        ask: takes an id ("" = none), which the store keeps if it has none yet; answers which it has.

    Raises:
        ImError: UNAVAILABLE while the store is away.
    """
    marker = directory / MARKER
    try:
        found = marker.read_text().strip() if marker.exists() else ""
        known = await ask("")
        if found:
            if found != known:
                _log.error(
                    "files.directory: what is in {directory} is another message store's, or this one lost"
                    " what it knew; nothing is removed. Should it be this one's, remove {marker} and restart",
                    directory=directory,
                    marker=marker,
                )
            return found == known
        if known:
            _log.warn(
                "files.directory: {directory} was not used with this message store before; all its nodes must"
                " have the same folder, with what is in it",
                directory=directory,
            )
        else:
            known = await ask(random_bytes(16).hex())
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        marker.write_text(f"{known}\n")
    except (OSError, UnicodeDecodeError) as error:
        _log.error("files.directory: {marker}: {error}; no file is removed", marker=marker, error=error)
        return False
    return True
