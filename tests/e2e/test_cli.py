"""`imserver` as people run it: beside a running server and without one, with the same results."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred as start
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from tests.clients.jsonline_client import connect_tcp
from tests.e2e.certificates import Authority
from tests.e2e.conftest import Serve
from tests.e2e.people import JsonLinePerson
from tests.e2e.server import WEAK_PASSWORDS, Server, sleep
from tests.e2e.terminal import Terminal

WEAK = [word for override in WEAK_PASSWORDS for word in ("--set", override)]
NOBODY = 65534


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    error: str


async def imserver(data: Path, *arguments: str, password: str = "", input: str = "") -> Result:
    """`imserver ARGUMENTS` on a data directory, while the reactor runs."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("IMSERVER_")}
    if password:
        environment["IMSERVER_PASSWORD"] = password

    def run() -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "imserver.cli.main", "--data-dir", str(data), *WEAK, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            input=input,
            env=environment,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    result: Result = await deferToThread(run)
    return result


async def done(data: Path, *arguments: str, **options: Any) -> Any:
    """The same with --json, which must succeed; what it prints."""
    result = await imserver(data, *arguments, "--json", **options)
    assert result.code == 0, result
    return json.loads(result.out)


async def refused(data: Path, code: int, *arguments: str, **options: Any) -> str:
    """A command that must end with this code and one line."""
    result = await imserver(data, *arguments, **options)
    assert (result.code, result.out) == (code, ""), result
    assert result.error.startswith("imserver: "), result
    assert result.error.count("\n") == 1, result
    return result.error


@pytest.fixture(params=["running", "stopped"])
def place(request: pytest.FixtureRequest, serve: Serve) -> Callable[[], Any]:
    """Gives a data directory, with a server or without one."""

    async def make() -> Path:
        server = serve(demo=False)
        if request.param == "running":
            await server.start()
        else:
            server.data.mkdir(mode=0o700)
        return server.data

    return make


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Makes terminals that are gone at the end of the test."""
    made: list[Terminal] = []

    def make(*arguments: str, **environment: str) -> Terminal:
        made.append(Terminal(*arguments, cwd=tmp_path, environment=environment))
        return made[-1]

    yield make
    for one in made:
        one.close()


# Both ways give the same results


@ensureDeferred
async def test_accounts(place: Callable[[], Any]) -> None:
    data = await place()
    added = await done(data, "user", "add", "alice", password="first")
    assert (added["user"], added["role"], added["has_password"]) == ("alice", "user", True)
    await done(data, "user", "add", "bob", "--role", "admin", "--no-password")
    assert "exists already" in await refused(data, 1, "user", "add", "alice", password="x")
    assert "user id" in await refused(data, 1, "user", "add", "a/b", "--no-password")
    assert (await done(data, "user", "disable", "alice"))["disabled"] is True
    assert (await done(data, "user", "enable", "alice"))["disabled"] is False
    assert (await done(data, "role", "alice", "admin"))["role"] == "admin"
    assert (await done(data, "user", "kick", "alice", "--reason", "why"))["user"] == "alice"
    file = data.parent / "secret"
    file.write_text("second\n")
    await done(data, "user", "passwd", "alice", "--password-file", str(file))
    await done(data, "user", "passwd", "alice", "--password-file", "-", input="third\n")
    listed = await done(data, "user", "list")
    assert [(user["user"], user["role"], user["has_password"]) for user in listed] == [
        ("alice", "admin", True),
        ("bob", "admin", False),
    ]
    for command in ("disable", "enable", "kick"):
        assert "no such user" in await refused(data, 1, "user", command, "eve")
    assert "no such user" in await refused(data, 1, "role", "eve", "admin")
    assert "no such user" in await refused(data, 1, "user", "passwd", "eve", password="x")
    shown = await imserver(data, "user", "list")
    assert shown.out.splitlines()[0].split() == ["USER", "ROLE", "STATE", "PASSWORD", "CREATED"]


@ensureDeferred
async def test_groups(place: Callable[[], Any]) -> None:
    data = await place()
    for user in ("alice", "bob", "carol"):
        await done(data, "user", "add", user, "--no-password")
    made = await done(data, "group", "create", "team", "--owner", "alice", "--member", "bob", "--name", "T")
    assert (made["owner"], made["name"], made["member_count"]) == ("alice", "T", 2)
    locked = await done(data, "group", "create", "club", "--owner", "bob", "--with-password", password="x")
    assert (locked["has_password"], locked["open"]) == (True, False)
    assert "taken" in await refused(data, 1, "group", "create", "team", "--owner", "alice")
    assert "no such user" in await refused(data, 1, "group", "create", "t", "--owner", "eve")
    assert (await done(data, "group", "add", "team", "carol"))["member_count"] == 3
    assert "member already" in await refused(data, 1, "group", "add", "team", "carol")
    await done(data, "group", "remove", "team", "alice", "bob")
    assert "no such member" in await refused(data, 1, "group", "remove", "team", "alice")
    members = (await done(data, "group", "list", "team"))["members"]
    assert [(member["user"], member["role"]) for member in members] == [("carol", "owner")]
    assert [group["group"] for group in await done(data, "group", "list")] == ["club", "team"]
    await done(data, "group", "delete", "club")
    for command in (("list",), ("delete",), ("add", "alice"), ("remove", "alice")):
        assert "no such group" in await refused(data, 1, "group", command[0], "club", *command[1:])


@ensureDeferred
async def test_tokens(place: Callable[[], Any]) -> None:
    data = await place()
    await done(data, "user", "add", "alice", "--no-password")
    issued = await done(data, "token", "issue", "alice", "--platform", "web")
    check = ("token", "verify", "--token-file", "-")
    checked = await done(data, *check, input=issued["token"])
    assert (checked["user"], checked["platform"], checked["sid"]) == ("alice", "web", issued["sid"])
    await done(data, "token", "rotate-keys")
    await done(data, *check, input=issued["token"])
    assert "not valid" in await refused(data, 1, *check, input=issued["refresh_token"])
    await done(data, "user", "kick", "alice")
    assert "revoked" in await refused(data, 1, *check, input=issued["token"])
    again = await done(data, "token", "issue", "alice")
    await done(data, "token", "rotate-keys", "--forget-old")
    assert "not valid" in await refused(data, 1, *check, input=again["token"])
    assert "no such user" in await refused(data, 1, "token", "issue", "eve")


@ensureDeferred
async def test_sessions_backup_verify_and_doctor(place: Callable[[], Any]) -> None:
    data = await place()
    await done(data, "user", "add", "alice", "--no-password")
    assert await done(data, "session", "list") == []
    assert "no such session" in await refused(data, 1, "session", "end", "x")
    copy = data.parent / "copy.db"
    await done(data, "backup", str(copy))
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    for what in (data, copy):
        assert (await done(data, "verify", str(what)))["faults"] == []
    free = [f"--set=listener.{number}.endpoint=tcp:0:interface=127.0.0.1" for number in range(5)]
    findings = await done(data, "doctor", *free)
    assert [finding for finding in findings if finding["status"] == "fail"] == []
    (data / "token-keys.json").chmod(0o644)
    assert (await imserver(data, "doctor", *free)).code == 4
    (data / "token-keys.json").chmod(0o600)


# Beside a running server


@ensureDeferred
async def test_what_it_does_reaches_live_sessions(serve: Serve) -> None:
    server = await serve().start()
    alice, bob = JsonLinePerson("alice"), JsonLinePerson("bob")
    for person in (alice, bob):
        await person.log_in(server)
    sessions = await done(server.data, "session", "list")
    assert [(found["user"], found["format"], found["device"]) for found in sessions] == [
        ("alice", "jsonline", "test"),
        ("bob", "jsonline", "test"),
    ]
    mine = await done(server.data, "session", "list", "--user", "alice")
    await done(server.data, "group", "create", "new", "--owner", "alice", "--member", "bob")
    assert (await alice.send("c1", "hello", group="new")).error == 0
    while not bob.pushed():
        await sleep(0.02)
    await done(server.data, "session", "end", mine[0]["session"], "--reason", "lost phone")
    await alice.connection.ended
    await alice.log_in(server)
    await done(server.data, "user", "disable", "alice")
    await alice.connection.ended
    connection = await connect_tcp(reactor, server.port("jsonline"))
    answer = await connection.request("auth/login", {"username": "alice", "password": "alice"})
    assert answer["payload"]["status"] == 403, answer
    await connection.close()
    await bob.log_out()
    await server.stop()


@ensureDeferred
async def test_a_password_set_without_a_server_is_the_one_it_takes(serve: Serve) -> None:
    server = serve(demo=False)
    server.data.mkdir(mode=0o700)
    await done(server.data, "user", "add", "alice", password="tr0ub4dor")
    await server.start()
    for password, status in (("wrong", 401), ("tr0ub4dor", 200)):
        connection = await connect_tcp(reactor, server.port("jsonline"))
        answer = await connection.request("auth/login", {"username": "alice", "password": password})
        assert answer["payload"]["status"] == status, answer
        await connection.close()
    await done(server.data, "user", "passwd", "alice", password="c0rrect horse")
    sent = await done(server.data, "send", "-u", "alice", "--to", "alice", "x", password="c0rrect horse")
    assert sent["message_id"]
    await server.stop()
    for secret in ("tr0ub4dor", "c0rrect horse"):
        assert secret not in server.output()


@ensureDeferred
async def test_after_a_crash_the_socket_is_no_obstacle(serve: Serve) -> None:
    server = await serve().start()
    path = server.data / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.kill()
    assert path.is_socket()
    await done(server.data, "user", "add", "erin", "--no-password")
    await server.start()
    await done(server.data, "user", "add", "frank", "--no-password")
    await server.stop()
    assert not path.exists()
    users = [user["user"] for user in await done(server.data, "user", "list")]
    assert users == ["alice", "bob", "carol", "dave", "erin", "frank"]


@ensureDeferred
async def test_a_server_without_a_control_socket(serve: Serve) -> None:
    server = await serve().start()
    (server.data / "control.sock").unlink()
    assert "without a control socket" in await refused(server.data, 3, "user", "list")
    await server.stop()


@ensureDeferred
async def test_two_commands_at_once_without_a_server(serve: Serve) -> None:
    data = serve().data
    data.mkdir(mode=0o700)
    running = [done(data, "user", "add", f"u{number}", "--no-password") for number in range(4)]
    await gatherResults([start(one) for one in running])
    assert [user["user"] for user in await done(data, "user", "list")] == ["u0", "u1", "u2", "u3"]


@ensureDeferred
async def test_bad_input_on_the_control_socket_hurts_nobody(serve: Serve) -> None:
    server = await serve().start()
    links = []
    for bad in (b"", b"\n" * 1000, b"\x00\xff" * 5000, b"GET / HTTP/1.1\r\n\r\n", b"[" * 200_000 + b"\n"):
        link = socket.socket(socket.AF_UNIX)
        link.connect(str(server.data / "control.sock"))
        link.settimeout(0.2)
        link.sendall(bad)
        links.append(link)
    deaf = socket.socket(socket.AF_UNIX)
    deaf.connect(str(server.data / "control.sock"))
    deaf.settimeout(0.5)
    with pytest.raises(TimeoutError):
        # Of somebody who does not read its answers the server does not take all of this.
        deaf.sendall(b'{"id":1,"command":"ListUsers"}\n' * 300_000)
    assert len(await done(server.data, "user", "list")) == 4
    person = JsonLinePerson("alice")
    await person.log_in(server)
    assert (await person.send("c1", "still here", user="bob")).error == 0
    await person.log_out()
    for link in (*links, deaf):
        link.close()
    await server.stop()


@ensureDeferred
async def test_strangers_are_hung_up_on(serve: Serve) -> None:
    """The kernel's word counts, whatever the permissions of the files."""
    if os.geteuid() != 0:
        return  # only root can be somebody else
    server = await serve().start()
    socket_path = server.data / "control.sock"
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        reached = folder / "s"
        os.link(socket_path, reached)
        reached.chmod(0o666)
        program = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1]);"
            ' s.sendall(b\'{"id":1,"command":"Describe"}\\n\'); print(len(s.recv(100)))'
        )
        for user, expected in ((NOBODY, False), (0, True)):
            asked = await deferToThread(
                subprocess.run,
                ["/usr/bin/env", "python3", "-c", program, str(reached)],
                user=user,
                capture_output=True,
                text=True,
                check=False,
            )
            assert "Permission" not in asked.stderr, asked
            assert (asked.stdout.strip() not in ("", "0")) is expected, asked
    finally:
        shutil.rmtree(folder)
    await server.stop()


@ensureDeferred
async def test_what_is_written_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    # Not below tmp_path, which only its own user may enter.
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir(mode=0o700)
        owner = NOBODY if os.geteuid() == 0 else os.geteuid()
        os.chown(data, owner, -1)
        await done(data, "user", "add", "alice", "--no-password")
        await done(data, "token", "rotate-keys")
        names = {path.name for path in data.iterdir()}
        assert {"imserver.db", "token-keys.json"} <= names
        assert {path.stat().st_uid for path in data.iterdir()} == {owner}
    finally:
        shutil.rmtree(folder)


# In a terminal


@ensureDeferred
async def test_passwords_are_asked_for_twice_and_not_shown(
    serve: Serve, terminal: Callable[..., Terminal]
) -> None:
    server = await serve(demo=False).start()
    data = str(server.data)
    for second, code in (("other", 2), ("gl4ss", 0)):
        shell = terminal("-d", data, "user", "add", "alice")
        await shell.expect("password: ")
        shell.type("gl4ss\n")
        await shell.expect("password again: ")
        shell.type(f"{second}\n")
        assert await shell.ended() == code, shell.shown
        assert "gl4ss" not in shell.shown
        assert ("alice: created" in shell.shown) is (code == 0)
    sent = await done(server.data, "send", "-u", "alice", "--to", "alice", "x", password="gl4ss")
    assert sent["message_id"]
    shell = terminal("-d", data, "backup", str(server.data.parent / "copy.db"))
    assert await shell.ended() == 0
    assert "copied" in shell.shown, shell.shown
    await server.stop()
    assert "gl4ss" not in server.output()


@ensureDeferred
@pytest.mark.parametrize("format", ["jsonline", "protobuf", "signalling"])
async def test_chat(serve: Serve, terminal: Callable[..., Terminal], format: str) -> None:
    server = await serve().start()
    bob = JsonLinePerson("bob")
    await bob.log_in(server)
    await bob.send("early", "before you came", user="alice")
    chat = terminal(
        "-d", str(server.data), "chat", "-u", "alice", "-f", format, "--to", "bob", IMSERVER_PASSWORD="alice"
    )
    await chat.expect("logged in as alice")
    await chat.expect("bob: before you came")
    await bob.send("c1", "hello \x1b[31mred", user="alice")
    await chat.expect("bob: hello \ufffd[31mred")
    chat.type("good day\n")
    while not bob.pushed():
        await sleep(0.02)
    assert [(row.sender, row.text) for row in bob.pushed()] == [("alice", "good day")]
    chat.type("/group demo\n/nonsense\nto all of you\n//slash\n")
    await chat.expect("there is no /nonsense")
    while len(bob.pushed()) < 3:
        await sleep(0.02)
    assert [row.text for row in bob.pushed()][1:] == ["to all of you", "/slash"]
    chat.type("/to nobody\nanyone?\n")
    await chat.expect("! ")
    if format != "protobuf":
        chat.type("/to bob\n/history 1\n")
        await chat.expect("alice to bob: good day")
    chat.type("\x04")
    assert await chat.ended() == 0
    await bob.log_out()
    await server.stop()


@ensureDeferred
async def test_chat_ends_with_the_server(serve: Serve, terminal: Callable[..., Terminal]) -> None:
    server = await serve().start()
    chats = [
        terminal(
            "-d", str(server.data), "chat", "-u", "alice", "-f", format, IMSERVER_TOKEN="demo_token_alice"
        )
        for format in ("jsonline", "protobuf")
    ]
    for chat in chats:
        await chat.expect("logged in as alice")
    os.kill(server.pid, signal.SIGTERM)
    for chat in chats:
        assert await chat.ended() in (1, 3), chat.shown
        assert "imserver: " in chat.shown
        assert "Traceback" not in chat.shown
    await server.ended()


@ensureDeferred
async def test_talking_over_tls(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    chain, key = authority.issue("server", "localhost")
    tls = f'{{certificate = "{chain}", key = "{key}"}}'
    server = serve(overrides=[f"listener.{number}.tls={tls}" for number in range(3)])
    await server.start()
    send = ("send", "-u", "alice", "--to", "bob", "x", "--host", "localhost", "--tls")
    for format in ("jsonline", "protobuf", "signalling"):
        await done(server.data, *send, "-f", format, "--ca", str(authority.root), password="alice")
    assert "certificate verify failed" in await refused(server.data, 3, *send, password="alice")
    plain = ("send", "-u", "alice", "--to", "bob", "x", "-f", "protobuf")
    assert (await imserver(server.data, *plain, password="alice")).code == 3
    await server.stop()


@ensureDeferred
async def test_log_ins_that_fail_are_one_line(serve: Serve) -> None:
    server: Server = await serve().start()
    send = ("send", "-u", "alice", "--to", "bob", "x")
    for format in ("jsonline", "protobuf", "signalling"):
        assert "password" in await refused(server.data, 1, *send, "-f", format, password="wrong")
        await done(server.data, *send, "-f", format, password="alice")
    send_eve = ("send", "-u", "alice", "--to", "eve", "x")
    assert "no account" in await refused(server.data, 1, *send_eve, password="alice")
    port = server.port("jsonline")
    await server.stop()
    assert "refused" in await refused(server.data, 3, *send, "--port", str(port), password="alice")
