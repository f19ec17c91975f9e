"""The units, sd_notify with its watchdog, socket activation; systemd itself does not run here."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor

from tests.clients import jsonline_client
from tests.e2e.conftest import Serve
from tests.e2e.server import FREE_PORTS, Server, StartFailed, sleep
from tests.e2e.tls_clients import aside
from tests.ports import free_port

ETC = Path(__file__).parents[2] / "etc"
INSTALLED = "/opt/imserver/bin/twistd"


def test_the_units_are_clean(tmp_path: Path) -> None:
    twistd = Path(sys.executable).with_name("twistd")
    units = []
    for name in ("imserver.service", "imserver.socket", "imserver@.service"):
        text = (ETC / name).read_text()
        assert name.endswith("socket") or INSTALLED in text
        (tmp_path / name).write_text(text.replace(INSTALLED, str(twistd)))
        units.append(str(tmp_path / name.replace("@", "@1")))
    (tmp_path / "imserver@1.service").symlink_to("imserver@.service")
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("name", ["imserver.service", "imserver@.service"])
def test_the_service_lets_the_server_do_what_it_must(name: str) -> None:
    lines = [
        line.partition("=")[::2]
        for line in (ETC / name).read_text().splitlines()
        if "=" in line and not line.startswith("#")
    ]
    options = dict(lines)
    assert options["Type"] == "notify"
    assert options["ExecReload"] == '/bin/sh -c "kill -HUP $MAINPID"'
    # pyOpenSSL's callbacks need memory that is written and executed.
    assert "MemoryDenyWriteExecute" not in options
    # SIGTERM has ten seconds, and connections need descriptors.
    assert float(options["TimeoutStopSec"]) > 10
    assert int(options["LimitNOFILE"]) > 100_000
    for hardened in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "RestrictSUIDSGID"):
        assert options[hardened] == "yes"
    assert options["ProtectSystem"] == "strict"
    assert options["StateDirectory"].split()[0] in ("imserver", "imserver-nodes/%i")


class Manager:
    """The socket a service manager listens on."""

    def __init__(self, address: str) -> None:
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def listen(self) -> list[str]:
        """First lines of everything so far."""
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return [state.split("\n")[0] for state in self.heard]

    async def until(self, state: str, count: int = 1) -> None:
        """Waits until it was heard so many times."""
        for _ in range(1500):
            if self.listen().count(state) >= count:
                return
            await sleep(0.02)
        raise AssertionError(self.heard)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


def _environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), **more}


@ensureDeferred
async def test_notify_and_watchdog(serve: Serve, manager: Manager, tmp_path: Path) -> None:
    server = await serve().start(_environment(tmp_path, WATCHDOG_USEC="400000"))
    await manager.until("READY=1")
    assert f"MAINPID={server.pid}" in manager.heard[0]
    # Whoever is told READY may connect.
    with socket.create_connection(("127.0.0.1", server.port("jsonline")), timeout=10):
        pass
    await manager.until("WATCHDOG=1", 4)
    # One that does not get on is silent, so that the watchdog bites.
    os.kill(server.pid, signal.SIGSTOP)
    await sleep(0.1)
    heard = len(manager.listen())
    await sleep(1)
    assert len(manager.listen()) == heard
    os.kill(server.pid, signal.SIGCONT)
    await manager.until("WATCHDOG=1", manager.heard.count("WATCHDOG=1") + 2)
    os.kill(server.pid, signal.SIGHUP)
    await manager.until("READY=1", 2)
    states = [state for state in manager.listen() if state != "WATCHDOG=1"]
    assert states == ["READY=1", "RELOADING=1", "READY=1"]
    reloading = next(state for state in manager.heard if state.startswith("RELOADING=1"))
    assert "\nMONOTONIC_USEC=" in reloading
    os.kill(server.pid, signal.SIGTERM)
    assert await server.ended() in (0, -signal.SIGTERM)
    assert "STOPPING=1" in manager.listen()
    server.assert_clean()


@ensureDeferred
async def test_one_that_cannot_start_is_never_ready(serve: Serve, manager: Manager, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        override = f"listener.2.endpoint=tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        server = serve(overrides=[override])
        with pytest.raises(StartFailed):
            await server.start(_environment(tmp_path, WATCHDOG_USEC="400000"))
    assert not any(state.startswith("READY") for state in manager.listen())


@ensureDeferred
async def test_socket_activation(serve: Serve) -> None:
    activate = shutil.which("systemd-socket-activate")
    assert activate is not None, "systemd is missing; see tests/system_packages.sh"
    web, lines = free_port(), free_port()
    server: Server = serve(
        demo=False,
        wrapper=[activate, "-l", f"127.0.0.1:{web}", "-l", f"127.0.0.1:{lines}", "--fdname=web:lines"],
        overrides=[
            "listener.1.endpoint=systemd:domain=INET:index=0",
            "listener.2.endpoint=systemd:domain=INET:name=lines",
            "auth.self_registration=true",
        ],
        listeners=[FREE_PORTS[0], FREE_PORTS[3], FREE_PORTS[4]],
    )
    server.launch()
    # The first connection starts the server, and is served by it.
    first: socket.socket | None = None
    deadline = time.monotonic() + 30
    while first is None:
        try:
            first = socket.create_connection(("127.0.0.1", lines), timeout=30)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, server.output()
            await sleep(0.02)
    with first:
        first.sendall(b'{"id":"1","type":"request","command":"control/ping","payload":{}}\n')
        assert b'"status":200' in await aside(first.recv, 4096)
    await server.listening()
    assert (server.port("/im"), server.port("jsonline")) == (web, lines)
    client = await jsonline_client.connect_tcp(reactor, lines)
    answer = await client.request("auth/register", {"username": "ann", "password": "ann"})
    assert answer["payload"]["status"] == 200
    await client.close()
    await server.stop()


@ensureDeferred
async def test_sockets_that_nobody_handed_over_are_one_line(serve: Serve) -> None:
    server = serve(overrides=["listener.2.endpoint=systemd:domain=INET:index=7"], demo=False)
    with pytest.raises(StartFailed) as failed:
        await server.start()
    assert failed.value.code == 1
    assert failed.value.output.count("\n") == 1
    assert "listener[2].endpoint" in failed.value.output
    assert "systemd handed over no such socket" in failed.value.output
