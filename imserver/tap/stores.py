"""Opens the store that is configured, and what goes with it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from imserver.assembly import engine_settings, redis_settings
from imserver.backends.common.data_directory import DirectoryLock
from imserver.backends.embedded import EmbeddedCellar
from imserver.backends.embedded.committer import ThreadCommitter
from imserver.backends.embedded.database import DATABASE_NAME
from imserver.backends.embedded.metering import MeteredCommitter
from imserver.config import Configuration
from imserver.configured_redis import Reach, link_settings
from imserver.http.vitals import Commits
from imserver.services.file_ports import FileStore
from imserver.services.ports import Bus, Directory, Store, Threads
from imserver.services.replays import NonceMemory
from imserver.services.retries import AnswerMemory
from imserver.tap.failpoints import KillAt
from imserver.tap.file_owner import claim

HOST_NAME_LETTERS = 40


class OpenStore(Protocol):
    """A cellar, and what the server wants to know of it beside.

    Attributes:
        nonces / answers: what several nodes remember together; None = each its own.
        commits: what is counted.
        reads: counts the pages that were read; None = nobody does.
    """

    @property
    def store(self) -> Store: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def files(self) -> FileStore: ...
    @property
    def nonces(self) -> NonceMemory | None: ...
    @property
    def answers(self) -> AnswerMemory | None: ...
    @property
    def commits(self) -> Commits: ...
    @property
    def reads(self) -> Callable[[], int] | None: ...

    async def open(self) -> None:
        """Opens it. To be called once."""

    def sizes(self) -> dict[str, int]:
        """The sizes of the store's files, by name."""

    async def trim(self, now: float) -> None:
        """Forgets what is too old; UNAVAILABLE as ImError."""

    async def owns(self, directory: Path) -> bool:
        """Whether all that is in the folder of files is this store's; UNAVAILABLE as ImError."""

    async def close(self) -> None:
        """Makes everything durable. Idempotent; also while it is being opened."""


class SqliteStore:
    """The embedded engine over the data directory."""

    nonces = None
    answers = None

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        data: Path,
        readers: Threads,
        failpoint: KillAt | None,
    ) -> None:
        self._data = data
        self.commits = MeteredCommitter(ThreadCommitter(reactor.callFromThread), time.monotonic)
        self._cellar = EmbeddedCellar(
            data,
            self.commits,
            readers,
            reactor,
            time.time,
            os.urandom,
            settings=engine_settings(configuration),
            failpoints=failpoint,
        )
        self.store = self._cellar.store
        self.directory = self._cellar.directory
        self.bus = self._cellar.bus
        self.files = self._cellar.files
        self.trim = self._cellar.trim
        self.close = self._cellar.close

    async def open(self) -> None:
        """See OpenStore. Raises DataDirectoryError."""
        self._cellar.open()

    def reads(self) -> int:
        """See OpenStore."""
        return self._cellar.core.reads

    async def owns(self, directory: Path) -> bool:
        """See OpenStore. The folder is in the data directory as a rule."""
        return True

    def sizes(self) -> dict[str, int]:
        """See OpenStore."""
        sizes = {}
        for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal"):
            try:
                sizes[name] = (self._data / name).stat().st_size
            except OSError:
                pass
        return sizes


class RedisStore:
    """A node of several over one Redis."""

    reads = None

    def __init__(self, reactor: Any, configuration: Configuration, data: Path, reach: Reach) -> None:
        # It imports txredisapi, which takes the reactor as it is then.
        from imserver.backends.redis.cellar import RedisCellar
        from imserver.backends.redis.replicas import AckSettings

        store = configuration.store
        self._lock = DirectoryLock(data)
        self._cellar = RedisCellar(
            reach(reactor),
            node_name(configuration.node),
            reactor,
            time.monotonic,
            time.time,
            os.urandom,
            link=link_settings(store),
            settings=redis_settings(configuration),
            ack=AckSettings(store.replicas if store.ack == "replicated" else 0, store.replicas_seconds),
        )
        self.store = self._cellar.store
        self.directory = self._cellar.directory
        self.bus = self._cellar.bus
        self.files = self._cellar.files
        self.nonces = self._cellar.nonces
        self.answers = self._cellar.answers
        self.commits = self._cellar.redis.meter
        self.trim = self._cellar.trim

    async def open(self) -> None:
        """See OpenStore. Waits for Redis as long as that takes. Raises DataDirectoryError."""
        self._lock.take()
        await self._cellar.open()

    async def owns(self, directory: Path) -> bool:
        """See OpenStore."""
        return await claim(directory, self._cellar.files.directory_id, os.urandom)

    def sizes(self) -> dict[str, int]:
        """See OpenStore."""
        return {}

    async def close(self) -> None:
        """See OpenStore."""
        await self._cellar.close()
        self._lock.let_go()


def node_name(configured: str) -> str:
    """A name that no other process has or had: what is configured, or the host's, and some chance."""
    name = configured or socket.gethostname().partition(".")[0]
    letters = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in "._-"))
    return f"{letters[:HOST_NAME_LETTERS] or 'node'}-{os.urandom(4).hex()}"
