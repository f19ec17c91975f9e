"""Several real nodes of one server over one real Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest_twisted
from twisted.internet.defer import Deferred

from imserver.services.rendezvous import Candidate, choose
from tests.e2e.server import EVERY_FORMAT, NO_RATES, Server, sleep
from tests.redis.server import RedisServer


def settings(folder: Path, name: str, url: str) -> tuple[str, ...]:
    """What a node is told.

    Args:
        folder: what all nodes share.
        url: of the Redis.
    """
    return (
        "store.engine=redis",
        f"store.url={url}",
        f"node={name}",
        f"keys_dir={folder / 'keys'}",
        f"files.directory={folder / 'files'}",
        "limits.unauthenticated_per_address=0",
        *NO_RATES,
    )


class Nodes:
    """Nodes of one server.

    Attributes:
        servers: by their number.
    """

    def __init__(self, folder: Path, redis: RedisServer, overrides: Sequence[str] = ()) -> None:
        """Args:
        overrides: of every node, beside what it needs.
        """
        self._overrides = overrides
        self._folder = folder
        self._redis = redis
        (folder / "keys").mkdir()
        self.servers: list[Server] = []

    async def open(self, count: int) -> None:
        """Starts so many more."""
        for _ in range(count):
            name = f"node{len(self.servers)}"
            overrides = (*settings(self._folder, name, self._redis.url), *self._overrides)
            server = Server(self._folder / name, overrides=overrides, listeners=EVERY_FORMAT)
            self.servers.append(server)
            await server.start()

    async def know(self) -> None:
        """Waits until each has seen all the others."""
        for server in self.servers:
            while server.output().count("takes part") < len(self.servers) - 1:
                await sleep(0.1)

    def identity(self, server: Server) -> str:
        """What a node is called among the others."""
        name = f"node{self.servers.index(server)}-"
        return next(node for node in self._redis.ask("HKEYS", "im:nodes") if node.startswith(name))

    def retired(self) -> int:
        """How many have said that they go down."""
        return len(self._redis.ask("SMEMBERS", "im:retired"))

    def home_of(self, key: str) -> Server:
        """The node that a key belongs to."""
        found = choose([Candidate(self.identity(server)) for server in self.servers], key)
        assert found is not None
        return next(server for server in self.servers if self.identity(server) == found.name)

    def close(self) -> None:
        """For the end of a test, whatever happened in it."""
        for server in self.servers:
            server.close()


@contextmanager
def three_nodes(folder: Path, *overrides: str) -> Iterator[Nodes]:
    """Three nodes that know each other."""
    redis = RedisServer(folder / "redis").start()
    made = Nodes(folder, redis, overrides)
    try:
        pytest_twisted.blockon(Deferred.fromCoroutine(made.open(3)))
        pytest_twisted.blockon(Deferred.fromCoroutine(made.know()))
        yield made
    finally:
        made.close()
        redis.close()
