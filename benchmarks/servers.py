"""The processes that are measured, each on the server's core."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.machine import SERVER_CORE, pin
from tests.e2e.certificates import Authority

# Production settings but for the rates, which are there to keep one user from doing this.
OVERRIDES = (
    *(f"listener.{number}.endpoint=tcp:0:interface=127.0.0.1:backlog=1024" for number in range(5)),
    "limits.sends_per_second=1e9",
    "limits.send_burst=1000000000",
    "limits.commands_per_second=1e9",
    "limits.command_burst=1000000000",
    "limits.unauthenticated_per_address=0",
    "calls.media_bytes_per_second=1000000000000",
    "limits.sessions_per_user=1000000",
    "rooms.broadcasts_per_second=1e9",
    "rooms.fanout_bytes_per_second=1000000000000",
)


LISTENERS = ("http", "http", "jsonline", "qdatastream", "files")
"""The default configuration's, in its order."""


class Running:
    """A server process.

    Attributes:
        ports: by format or path.
        start: seconds it took until it listened.
    """

    def __init__(self, process: subprocess.Popen[bytes], ports: dict[str, int], start: float = 0.0) -> None:
        self.process = process
        self.pid = process.pid
        self.ports = ports
        self.start = start


def _on_the_servers_core() -> None:
    pin(SERVER_CORE)


def echo() -> contextlib.AbstractContextManager[Running]:
    """The bare Autobahn echo."""
    return _bare("echo")


def relay() -> contextlib.AbstractContextManager[Running]:
    """The bare Twisted relay."""
    return _bare("relay")


def filecopy() -> contextlib.AbstractContextManager[Running]:
    """The bare Twisted copy of files."""
    return _bare("filecopy")


@contextlib.contextmanager
def _bare(name: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, preexec_fn=_on_the_servers_core
    )
    try:
        assert process.stdout is not None
        yield Running(process, {name: int(process.stdout.readline())})
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def imserver(
    tls: Sequence[str] = (),
    more: Sequence[str] = (),
    *,
    pinned: bool = True,
    prepare: Callable[[Path], None] | None = None,
) -> Iterator[Running]:
    """A fresh server with demo accounts, on the disk that temporary files are on.

    Args:
        tls: listeners that speak it, by format.
        more: more settings.
        pinned: on the server's core, else on any.
        prepare: fills the data directory before.
    """
    data = Path(tempfile.mkdtemp(prefix="imserver-benchmark-"))
    if prepare is not None:
        prepare(data / "data")
    arguments = ["--demo", "--data-dir", str(data / "data")]
    for override in (*OVERRIDES, *_tls_overrides(data, tls), *more):
        arguments += ["--set", override]
    begun = time.perf_counter()
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "imserver", *arguments],
            stdout=log,
            stderr=log,
            cwd=data,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            preexec_fn=_on_the_servers_core if pinned else None,
        )
    try:
        ports = _ports(process, data)
        yield Running(process, ports, time.perf_counter() - begun)
        if process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{(data / 'log').read_text()}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(data, ignore_errors=True)


def client_context() -> ssl.SSLContext:
    """For clients that trust anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _tls_overrides(data: Path, formats: Sequence[str]) -> list[str]:
    if not formats:
        return []
    certificate, key = Authority(data / "tls").issue("server", "localhost", "127.0.0.1")
    value = f'{{certificate = "{certificate}", key = "{key}"}}'
    return [f"listener.{number}.tls={value}" for number, format in enumerate(LISTENERS) if format in formats]


def _ports(process: subprocess.Popen[bytes], data: Path) -> dict[str, int]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            listeners = json.loads((data / "data" / "ports.json").read_text())["listeners"]
            ports: dict[str, int] = {}
            for listener in listeners:
                for name in (listener["format"], *listener["paths"]):
                    ports.setdefault(name, int(listener["port"]))
            return ports
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{(data / 'log').read_text()}")
