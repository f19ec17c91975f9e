"""Starts Debian's redis-server for a test: own port, own folder, ended by its own process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.ports import free_port

_PATIENCE = 60.0
"""Seconds; only a broken machine takes so long."""


class RedisServer:
    """One redis-server on the loopback interface.

    Args:
        folder: where its files go; None = one of its own, removed with it.
        aof: "always", "everysec" or "no"; "" = nothing is written to the disk.
        options: more command-line options, as words.

    Attributes:
        port: the same again after a restart.
    """

    def __init__(self, folder: Path | None = None, *, aof: str = "", options: tuple[str, ...] = ()) -> None:
        self._own = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="imserver-redis-")) if folder is None else folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._aof = aof
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @property
    def url(self) -> str:
        """Its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        """Starts it, with what is in its folder; returns once it answers."""
        assert self._process is None, "it runs"
        command = [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--save", "", "--appendonly", "yes" if self._aof else "no", "--daemonize", "no",
        ]  # fmt: skip
        if self._aof:
            command += ["--appendfsync", self._aof]
        command += self._options
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._await_answer()
        return self

    def _await_answer(self) -> None:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"redis-server ended: {self.log()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1.0) as connection:
                    connection.settimeout(1.0)
                    connection.sendall(b"*1\r\n$4\r\nPING\r\n")
                    answer = connection.recv(64)
            except OSError:
                answer = b""
            if answer.startswith((b"+PONG", b"-NOAUTH")):
                return
            time.sleep(0.01)
        raise AssertionError(f"redis-server does not answer: {self.log()}")

    def ask(self, *words: str) -> list[str]:
        """Sends a command that is answered by a list, and blocks until it is."""
        with socket.create_connection(("127.0.0.1", self.port), 10.0) as connection:
            command = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{command}".encode())
            with connection.makefile("rb") as replies:
                head = replies.readline()
                assert head.startswith(b"*"), head
                found = []
                for _ in range(int(head[1:])):
                    size = int(replies.readline()[1:])
                    found.append(replies.read(size + 2)[:-2].decode())
                return found

    @property
    def answers(self) -> bool:
        """Whether it runs and is not stopped."""
        return self._process is not None and not self._stopped

    def info(self, section: str) -> str:
        """What it says of itself; blocks until it has.

        Raises:
            ConnectionError: it closed instead, as one does whose role a sentinel has just changed.
        """
        with socket.create_connection(("127.0.0.1", self.port), 10.0) as connection:
            connection.sendall(f"INFO {section}\r\n".encode())
            with connection.makefile("rb") as replies:
                head = replies.readline()
                if not head.endswith(b"\r\n"):
                    raise ConnectionError("it closed without an answer")
                size = int(head[1:])
                return replies.read(size).decode(errors="replace")

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "redis.log").read_text(errors="replace")[-4000:]

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL: the process is gone at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP: it is there and does nothing."""
        self.signal(signal.SIGSTOP)
        self._stopped = True

    def go_on(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)
        self._stopped = False

    def close(self) -> None:
        """Ends it; removes what it wrote if the folder was its own."""
        if self._process is not None:
            if self._stopped:
                self.go_on()
            self.kill()
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)
