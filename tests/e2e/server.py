"""Starts the real server on free loopback ports and stops it by its own process id."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.transport import TRANSPORT

START_SECONDS = 60.0
STOP_SECONDS = 30.0

FREE_PORTS = tuple(f"listener.{number}.endpoint=tcp:0:interface=127.0.0.1" for number in range(5))
_FREE = 'endpoint="tcp:0:interface=127.0.0.1"'
EVERY_FORMAT = (
    f'listener=[{{format="http",{_FREE},paths={{"/ws"="protobuf"}},rest=false}},'
    f'{{format="http",{_FREE},paths={{"/ws"="signalling","/meeting"="meeting","/im"="protobuf"}}}},'
    f'{{format="jsonline",{_FREE}}},{{format="qdatastream",{_FREE}}},'
    f'{{format="files",{_FREE}}},{{format="jsonline",dialect="chat-app",{_FREE}}}]',
)
"""The listeners of FREE_PORTS, and the dialect chat-app."""
WEAK_PASSWORDS = ("auth.password_time_cost=1", "auth.password_memory_kib=8")
NO_RATES = (
    "limits.sends_per_second=1e9",
    "limits.send_burst=1000000000",
    "limits.commands_per_second=1e9",
    "limits.command_burst=1000000000",
)


def sleep(seconds: float) -> Deferred[None]:
    """Waits while the reactor runs."""
    return deferLater(reactor, seconds, lambda: None)


class StartFailed(Exception):
    """The server ended before it listened; carries its exit code and what it wrote."""

    def __init__(self, code: int, output: str) -> None:
        super().__init__(f"exit code {code}:\n{output}")
        self.code = code
        self.output = output


class Server:
    """One server process on one data directory; may be started again after its end.

    Attributes:
        data: the data directory.
        log: file with everything every run wrote.
    """

    def __init__(
        self,
        data: Path,
        *,
        demo: bool = True,
        overrides: Sequence[str] = (),
        arguments: Sequence[str] = (),
        listeners: Sequence[str] = FREE_PORTS,
        wrapper: Sequence[str] = (),
        twistd: Path | None = None,
    ) -> None:
        """Args:
        overrides: `--set` values beyond free ports and cheap passwords.
        wrapper: a command line before the server's, as strace's.
        twistd: another installation's; else the one of these tests.
        """
        self.data = data
        self.log = data.parent / f"{data.name}.log"
        self._wrapper = list(wrapper)
        self._twistd = twistd or Path(sys.executable).with_name("twistd")
        self._arguments = [*(["--demo"] if demo else []), *arguments]
        for override in (*listeners, *WEAK_PASSWORDS, f"performance.transport={TRANSPORT}", *overrides):
            self._arguments += ["--set", override]
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: list[dict[str, Any]] = []
        self.pid = 0

    def launch(self, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Starts the process without waiting for it."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (self.data / "ports.json").unlink()
        command = [
            *self._wrapper,
            str(self._twistd),
            "-n",
            "--pidfile=",
            "imserver",
            "--data-dir",
            str(self.data),
            *self._arguments,
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=self.data.parent,
                start_new_session=True,
            )
        return self._process

    async def start(self, environment: Mapping[str, str] | None = None) -> Server:
        """Starts it and waits until it listens.

        Raises:
            StartFailed: it ended instead.
        """
        written = self.log.stat().st_size if self.log.exists() else 0
        self.launch(environment)
        return await self.listening(written)

    async def listening(self, written: int = 0) -> Server:
        """Waits until the process listens.

        Args:
            written: bytes in the log before its start.

        Raises:
            StartFailed: it ended instead.
        """
        process = self._process
        assert process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._read_ports():
            code = process.poll()
            if code is not None:
                raise StartFailed(code, self.log.read_bytes()[written:].decode(errors="replace"))
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"not listening after {START_SECONDS:g} s:\n{self.output()}")
            await sleep(0.02)
        return self

    def _read_ports(self) -> bool:
        try:
            content = json.loads((self.data / "ports.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return False
        self.pid, self._ports = content["pid"], content["listeners"]
        return True

    def port(self, spoken: str) -> int:
        """The port where a format (`jsonline`), a dialect (`chat-app`) or a WebSocket path (`/ws`) is."""
        ports = self.ports(spoken)
        if not ports:
            raise LookupError(spoken)
        return ports[0]

    def ports(self, spoken: str) -> list[int]:
        """All ports of that kind, as configured."""
        return [
            int(listener["port"])
            for listener in self._ports
            if spoken in (listener["format"], listener["dialect"]) or spoken in listener["paths"]
        ]

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """Everything every run wrote."""
        return self.log.read_text(errors="replace")

    def rss(self) -> int:
        """Resident bytes of the process."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise LookupError("VmRSS")

    def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        process = self._process
        assert process is not None
        if self.pid and process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        if not self.pid:
            process.kill()
        process.wait(STOP_SECONDS)
        self.pid = 0

    async def ended(self, seconds: float = STOP_SECONDS) -> int:
        """Waits until the process ends by itself; its exit code, negative = the signal."""
        process = self._process
        assert process is not None
        deadline = time.monotonic() + seconds
        while process.poll() is None:
            assert time.monotonic() < deadline, f"still running:\n{self.output()}"
            await sleep(0.02)
        self.pid = 0
        return int(process.returncode)

    async def stop(self) -> None:
        """SIGTERM; asserts a clean end and a log without tracebacks."""
        assert self.running, self.output()
        os.kill(self.pid, signal.SIGTERM)
        code = await self.ended()
        assert code in (0, -signal.SIGTERM), f"exit code {code}:\n{self.output()}"
        self.assert_clean()

    def assert_clean(self) -> None:
        """No traceback and no failure in the log."""
        output = self.output()
        assert "Traceback" not in output, output
        assert "Unhandled" not in output, output

    def close(self) -> None:
        """For the end of a test, whatever happened in it."""
        if self.running:
            self.kill()
