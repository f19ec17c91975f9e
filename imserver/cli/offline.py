"""The services over a data directory that no server uses, for the length of one command.

The engine runs on this thread, with a clock that goes when it is told to: no
reactor and no writer thread are needed to do one thing after the other. What is
written is as durable as the server's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from imserver.assembly import KEYS_FILE, MESSAGE_KEYS_FILE, Services, engine_settings, read_external_keys
from imserver.backends.embedded import DataDirectoryError, DataDirectoryInUse, EmbeddedCellar
from imserver.backends.embedded.database import DATABASE_NAME, FileDatabase
from imserver.backends.embedded.memory import InlineThreads, deterministic_cellar
from imserver.cli.errors import UNREACHABLE, CommandError, refusal
from imserver.config import ConfigError, Configuration
from imserver.model.errors import ImError
from imserver.services.keys import Key, KeyRingError

_MAY_BE_THERE = {KEYS_FILE, MESSAGE_KEYS_FILE, "lost+found"}
TURNS = 2000
TURN_SECONDS = 0.01


class Local:
    """See `operator.Operator`."""

    def __init__(self, cellar: EmbeddedCellar, services: Services, clock: Clock) -> None:
        self._cellar = cellar
        self._administration = services.hub.administration
        self._clock = clock

    @classmethod
    def opened(cls, data: Path, settings: Configuration) -> Local | None:
        """Locks the directory and opens what is in it; an empty one becomes a data directory.

        Returns:
            None if another process uses it.

        Raises:
            CommandError: it cannot be opened, or it is not a data directory.
        """
        if settings.store.engine == "redis":
            raise CommandError(
                UNREACHABLE, f"{data}: no server runs here; with engine redis, ask a node that runs"
            )
        try:
            if _foreign({path.name for path in data.iterdir()}):
                raise CommandError(UNREACHABLE, f"{data}: holds something else than a server's data")
            keys = read_external_keys(settings)
            become_owner(data)
            return cls._open(data, settings, keys)
        except OSError as error:
            raise CommandError(UNREACHABLE, f"{error.filename or data}: {error.strerror}") from None
        except (ConfigError, DataDirectoryError, KeyRingError) as error:
            raise CommandError(UNREACHABLE, str(error)) from None

    @classmethod
    def _open(cls, data: Path, settings: Configuration, keys: list[Key]) -> Local | None:
        clock, threads = Clock(), InlineThreads()
        cellar = deterministic_cellar(
            clock,
            database=FileDatabase(data),
            settings=engine_settings(settings),
            wall=time.time,
            random_bytes=os.urandom,
        )
        try:
            cellar.open()
        except DataDirectoryInUse:
            return None
        try:
            services = Services(
                settings, data, keys, cellar.store, cellar.directory, cellar.bus, threads, clock, demo=False
            )
        except BaseException:
            finish(clock, cellar.close())
            raise
        return cls(cellar, services, clock)

    def perform(self, command: Any) -> Any:
        """See Operator."""
        try:
            return finish(self._clock, self._administration.operate(command))
        except ImError as error:
            raise refusal(error) from None

    def close(self) -> None:
        """Writes what is left and lets go of the lock."""
        finish(self._clock, self._cellar.close())


def _foreign(names: set[str]) -> bool:
    """Whether a directory with these files belongs to something else; another command may be making it."""
    ours = {name for name in names if name.startswith("imserver.")}
    return DATABASE_NAME not in ours and bool(names - ours - _MAY_BE_THERE)


def finish(clock: Clock, work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine to its end, letting the clock go as far as it needs.

    Raises:
        whatever the coroutine raises.
        CommandError: it does not end.
    """
    running: Deferred[Any] = ensureDeferred(work)
    results: list[Any] = []
    running.addBoth(results.append)
    for turn in range(TURNS):
        if results:
            break
        clock.advance(0 if turn < 10 else TURN_SECONDS)
    if not results:
        raise CommandError(UNREACHABLE, "the data directory does not take it")
    (result,) = results
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def become_owner(data: Path) -> None:
    """Root goes on as the owner of the data directory, so that the server can read what is written there.

    Raises:
        OSError: it cannot.
    """
    owner = data.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
