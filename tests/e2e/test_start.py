"""Starting, refusing to start, stopping: the process, its exit code and its one line."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor

from tests.clients.jsonline_client import connect_tcp as connect_jsonline
from tests.clients.protobuf_client import connect as connect_protobuf
from tests.e2e.conftest import Serve
from tests.e2e.server import FREE_PORTS, StartFailed


def run_twistd(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs twistd to its end."""
    twistd = Path(sys.executable).with_name("twistd")
    return subprocess.run(
        [str(twistd), "-n", "--pidfile=", "imserver", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def the_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    assert result.returncode == 1, result
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stdout, result.stdout
    return lines[0]


def line_of(failed: StartFailed) -> str:
    """The one line of a refusal that came after logging began."""
    assert failed.code == 1, failed
    lines = [line for line in failed.output.splitlines() if line.startswith("imserver: ")]
    assert len(lines) == 1, failed.output
    assert "Traceback" not in failed.output, failed.output
    return lines[0]


def test_help_names_the_options(tmp_path: Path) -> None:
    result = run_twistd("--help", cwd=tmp_path)
    assert result.returncode == 0
    for option in ("--config", "--data-dir", "--demo", "--set", "--check-config"):
        assert option in result.stdout


def test_check_config(tmp_path: Path) -> None:
    file = tmp_path / "im.toml"
    file.write_text('[[listener]]\nformat = "jsonline"\nendpoint = "tcp:1:interface=127.0.0.1"\n')
    result = run_twistd("--check-config", "--config", str(file), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.iterdir()) == [file], "checking must not create anything"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[limits]\nsend_per_second = 1\n", "limits.send_per_second: unknown key"),
        ("[limits]\nconnections = 'many'\n", "limits.connections: expected `int`"),
        ("[[listener]]\nformat = 'irc'\nendpoint = 'tcp:1'\n", "listener[0].format"),
        ("[[listener]]\nformat = 'jsonline'\nendpoint = 'tcp:x'\n", "listener[0].endpoint"),
        ("[[listener]]\nformat = 'jsonline'\nendpoint = 'nonsense:1'\n", "listener[0].endpoint"),
        ("[[auth.key]]\nkid='a'\nalgorithm='RS256'\npublic_key='/nonexistent.pem'\n", "/nonexistent.pem"),
        ("not toml", "im.toml"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_faults_in_the_configuration_are_one_line(tmp_path: Path, text: str, path: str, check: bool) -> None:
    file = tmp_path / "im.toml"
    file.write_text(text)
    options = ["--check-config"] if check else ["--data-dir", str(tmp_path / "data")]
    line = the_line(run_twistd("--config", str(file), *options, cwd=tmp_path))
    assert path in line
    assert str(file) in line
    assert not (tmp_path / "data").exists()


def test_an_unreadable_file_and_a_bad_option_are_one_line(tmp_path: Path) -> None:
    assert "No such file" in the_line(run_twistd("--config", "missing.toml", cwd=tmp_path))
    assert "--set limits" in the_line(run_twistd("--set", "limits", cwd=tmp_path))
    assert "--nonsense" in the_line(run_twistd("--nonsense", cwd=tmp_path))
    assert "unexpected" in the_line(run_twistd("unexpected", cwd=tmp_path))


def test_demo_refuses_addresses_that_others_can_reach(tmp_path: Path) -> None:
    override = "listener.2.endpoint=tcp:0"
    line = the_line(run_twistd("--demo", "--set", override, "--data-dir", "data", cwd=tmp_path))
    assert "--demo" in line
    assert "listener[2]" in line
    assert not (tmp_path / "data").exists()


def test_an_armed_failpoint_that_is_none_is_refused(tmp_path: Path) -> None:
    os.environ["IMSERVER_FAILPOINT"] = "nonsense"
    try:
        line = the_line(run_twistd("--data-dir", "data", cwd=tmp_path))
    finally:
        del os.environ["IMSERVER_FAILPOINT"]
    assert "IMSERVER_FAILPOINT=nonsense" in line


@ensureDeferred
async def test_it_listens_writes_its_ports_and_stops(serve: Serve) -> None:
    server = await serve().start()
    ports = json.loads((server.data / "ports.json").read_text())
    assert ports["pid"] == server.pid
    assert [listener["format"] for listener in ports["listeners"]] == [
        "http",
        "http",
        "jsonline",
        "qdatastream",
        "files",
    ]
    for listener in ports["listeners"]:
        with socket.create_connection((listener["host"], listener["port"]), timeout=5):
            pass
    await server.stop()
    assert not (server.data / "ports.json").exists()
    for listener in ports["listeners"]:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((listener["host"], listener["port"]), timeout=5)


@ensureDeferred
async def test_what_is_kept_is_readable_by_the_owner_only(serve: Serve) -> None:
    server = await serve().start()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    for file in server.data.iterdir():
        if file.name != "ports.json":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    await server.stop()


@ensureDeferred
async def test_a_port_in_use_leaves_nothing_behind(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listeners = [*FREE_PORTS[:3], f"listener.3.endpoint=tcp:{port}:interface=127.0.0.1", FREE_PORTS[4]]
        server = serve(listeners=listeners)
        with pytest.raises(StartFailed) as failed:
            await server.start()
        line = line_of(failed.value)
        assert f"tcp:{port}:interface=127.0.0.1" in line
        assert "in use" in line
        assert not (server.data / "ports.json").exists()
    # The data directory was let go of: once the port is free, it starts.
    await server.start()
    await server.stop()


@ensureDeferred
async def test_a_locked_data_directory(serve: Serve) -> None:
    first = await serve("shared").start()
    second = serve("shared")
    second.log = first.log.with_suffix(".second.log")
    ports = (first.data / "ports.json").read_bytes()
    # `launch` removes the file that tells the ports of the first one.
    with pytest.raises(StartFailed) as failed:
        await second.start()
    assert "in use by another process" in line_of(failed.value)
    assert str(first.data) in line_of(failed.value)
    (first.data / "ports.json").write_bytes(ports)
    await first.stop()


@ensureDeferred
async def test_a_damaged_database(serve: Serve) -> None:
    server = await serve().start()
    await server.stop()
    database = server.data / "imserver.db"
    database.write_bytes(b"\x00garbage" * 1000)
    with pytest.raises(StartFailed) as failed:
        await server.start()
    assert "imserver.db" in line_of(failed.value)


@ensureDeferred
async def test_a_damaged_key_file(serve: Serve) -> None:
    server = await serve().start()
    await server.stop()
    keys = server.data / "token-keys.json"
    keys.write_text("{")
    with pytest.raises(StartFailed) as failed:
        await server.start()
    assert "token-keys.json" in line_of(failed.value)


@ensureDeferred
async def test_a_data_directory_that_is_a_file(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StartFailed) as failed:
        await serve().start()
    assert str(tmp_path / "data") in line_of(failed.value)


@ensureDeferred
async def test_demo_has_four_users_and_their_group(serve: Serve) -> None:
    server = await serve().start()
    assert re.search(r"DEMO", server.output())
    clients = {}
    for user in ("alice", "bob", "carol", "dave"):
        client = await connect_protobuf(reactor, server.port("/ws"))
        answer = await client.log_in(user)
        assert answer["error_code"] == 0, answer
        clients[user] = client
    sent = await clients["alice"].send_text_message(text="to all", group="demo")
    assert sent["error_code"] == 0, sent
    for user in ("bob", "carol", "dave"):
        push = await clients[user].expect("PUSH_MSG")
        assert (push["content"], push["group_id"]) == (b"to all", "demo")
    for client in clients.values():
        await client.close()
    # Started again, it finds its users there.
    await server.stop()
    await server.start()
    await server.stop()


@ensureDeferred
async def test_without_demo_its_tokens_are_refused(serve: Serve) -> None:
    server = await serve(demo=False).start()
    assert "DEMO" not in server.output()
    client = await connect_protobuf(reactor, server.port("/ws"))
    answer = await client.log_in("alice")
    assert answer["error_code"] == 100, answer
    await client.closed
    await server.stop()


@ensureDeferred
async def test_sigterm_says_goodbye_before_it_closes(serve: Serve) -> None:
    server = await serve().start()
    alice = await connect_protobuf(reactor, server.port("/ws"))
    await alice.log_in("alice")
    bob = await connect_jsonline(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    farewell = bob.expect("control/error")
    os.kill(server.pid, signal.SIGTERM)
    assert (await alice.closed).code == 1001
    assert (await farewell)["payload"]["status"] == 503
    await bob.ended
    assert await server.ended() in (0, -signal.SIGTERM)
    server.assert_clean()
