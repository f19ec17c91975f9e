"""Copies of a running store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from imserver.backends.embedded.core import Core
from imserver.backends.embedded.database import connect

Progress = Callable[[int, int], None]
"""Told how many pages remain, and of how many."""

PAGES = 512
_PAUSE = 0.005


async def backup(core: Core, target: Path) -> None:
    """Copies the store to a new file while it goes on; the copy is what was committed at the start.

    A data directory with this file as `imserver.db` can be opened; it then has
    a new epoch, since rows after the copy are lost.

    Raises:
        FileExistsError: the target exists; OSError, sqlite3.Error: it could not be written.
    """
    await core.threads.call(_copy, core, target)


def _copy(core: Core, target: Path) -> None:
    source = core.database.borrow()
    try:
        copy_store(source, target)
    finally:
        core.database.give_back(source)


def copy_store(source: sqlite3.Connection, target: Path, progress: Progress | None = None) -> None:
    """The same over any connection to the store, in the calling thread; `progress` is told now and then."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    begun = False
    try:
        with closing(connect(target)) as copy:
            if not source.in_transaction:
                # Holds one snapshot; otherwise each commit meanwhile would start the copy afresh.
                source.execute("BEGIN")
                begun = True
                source.execute("SELECT 1 FROM meta").fetchone()
            source.backup(copy, pages=PAGES, sleep=_PAUSE, progress=_watched(progress))
            copy.execute("INSERT OR REPLACE INTO meta VALUES ('restored', 1)")
            copy.execute("PRAGMA journal_mode = DELETE").fetchone()
            _sync(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        if begun:
            source.execute("ROLLBACK")


def _watched(progress: Progress | None) -> Callable[[int, int, int], None] | None:
    if progress is None:
        return None
    return lambda status, remaining, total: progress(remaining, total)


def _sync(path: Path) -> None:
    for name in (path, path.parent):
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
