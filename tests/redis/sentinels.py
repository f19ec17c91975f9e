"""A master, its replicas and the sentinels that watch them: all of a test's own, on free ports."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from tests.ports import free_port
from tests.redis.server import RedisServer

SERVICE = "im-test"
_PATIENCE = 60.0


class Sentinel:
    """One Redis Sentinel over a master."""

    def __init__(self, folder: Path, master: int, *, quorum: int, down_after: float, lines: tuple[str, ...]):
        folder.mkdir(parents=True)
        self.port = free_port()
        self._folder = folder
        self._file = folder / "sentinel.conf"
        milliseconds = int(down_after * 1000)
        self._file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {master} {quorum}\n"
            f"sentinel down-after-milliseconds {SERVICE} {milliseconds}\n"
            f"sentinel failover-timeout {SERVICE} 6000\n" + "".join(f"{line}\n" for line in lines)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, with what it has written into its file."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", str(self._file), "--sentinel"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def ask(self, *words: str) -> bytes:
        """Says something to it; the first line of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), 10.0) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            with connection.makefile("rb") as replies:
                return replies.readline()

    def log(self) -> str:
        """What it wrote."""
        return (self._folder / "log").read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Replicated:
    """A master, replicas, and sentinels that know each other.

    Attributes:
        servers: the first master, then the replicas.
        sentinels: who watch.
    """

    def __init__(
        self,
        folder: Path,
        *,
        replicas: int = 2,
        sentinels: int = 3,
        down_after: float = 1.0,
        options: tuple[str, ...] = (),
        lines: tuple[str, ...] = (),
    ) -> None:
        fast = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", *options)
        master = RedisServer(folder / "redis0", options=fast)
        following = (*fast, "--replicaof", "127.0.0.1", str(master.port))
        self.servers = [
            master,
            *(RedisServer(folder / f"redis{number + 1}", options=following) for number in range(replicas)),
        ]
        self.sentinels = [
            Sentinel(
                folder / f"sentinel{number}",
                master.port,
                quorum=sentinels // 2 + 1,
                down_after=down_after,
                lines=lines,
            )
            for number in range(sentinels)
        ]

    @property
    def overrides(self) -> tuple[str, ...]:
        """What a node is configured with."""
        addresses = ", ".join(f'"127.0.0.1:{sentinel.port}"' for sentinel in self.sentinels)
        return (
            "store.engine=redis",
            f"store.sentinels=[{addresses}]",
            f"store.sentinel_service={SERVICE}",
        )

    def start(self) -> Replicated:
        """Starts all; returns once the replicas are in step and the sentinels know them and each other."""
        for server in self.servers:
            server.start()
        for sentinel in self.sentinels:
            sentinel.start()
        replicas, others = len(self.servers) - 1, len(self.sentinels) - 1
        wanted = [f"connected_slaves:{replicas}", *["state=online"] * replicas]
        await_that(lambda: all(f"{word}" in self.servers[0].info("replication") for word in wanted))
        for sentinel in self.sentinels:
            await_that(lambda s=sentinel: s.log().count("+slave slave") >= replicas, sentinel.log)
            await_that(lambda s=sentinel: s.log().count("+sentinel sentinel") >= others, sentinel.log)
        return self

    def master(self) -> RedisServer | None:
        """Who says that it is the master, and answers; None = nobody now."""
        for server in self.servers:
            try:
                if server.answers and "role:master" in server.info("replication"):
                    return server
            except ConnectionError:  # with a new role a sentinel has it close what is connected: CLIENT KILL
                continue
        return None

    def close(self) -> None:
        """Ends all."""
        for sentinel in self.sentinels:
            sentinel.kill()
        for server in self.servers:
            server.close()


def await_that(true: object, log: object = None) -> None:
    """Blocks until it is."""
    assert callable(true)
    until = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < until, log() if callable(log) else "it does not come"
        time.sleep(0.02)
