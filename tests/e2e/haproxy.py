"""Runs Debian's HAProxy in front of a server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.server import sleep
from tests.ports import free_port

_DEFAULTS = """
global
    maxconn 2000
defaults
    timeout connect 10s
    timeout client 60s
    timeout server 60s
"""


class HAProxy:
    """One HAProxy with a frontend for each way to a server.

    Attributes:
        ports: where each frontend listens, by name.
    """

    def __init__(self, folder: Path, ways: Mapping[str, str]) -> None:
        """Args:
        ways: by name, the lines of a `listen` block after its `bind`, separated by ";".
        """
        ports = {name: free_port() for name in ways}
        blocks = [
            "\n    ".join([f"listen {name}", f"bind 127.0.0.1:{ports[name]}", *lines.split(";")])
            for name, lines in ways.items()
        ]
        self._run(folder, _DEFAULTS + "\n".join(blocks) + "\n", ports)

    @classmethod
    def configured(cls, folder: Path, text: str, ports: dict[str, int]) -> HAProxy:
        """With a whole configuration, which opens these loopback ports."""
        made = cls.__new__(cls)
        made._run(folder, text, ports)
        return made

    def _run(self, folder: Path, text: str, ports: dict[str, int]) -> None:
        self.ports = ports
        self._file = folder / "haproxy.cfg"
        self._file.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> HAProxy:
        """Starts it and waits until it listens."""
        program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None, "haproxy is missing; see tests/system_packages.sh"
        log = self._file.with_suffix(".log")
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [program, "-db", "-f", str(self._file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        for _ in range(1000):
            assert self._process.poll() is None, log.read_text()
            try:
                for port in self.ports.values():
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
            except ConnectionRefusedError:
                await sleep(0.02)
            else:
                return self
        raise AssertionError(log.read_text())

    def close(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
