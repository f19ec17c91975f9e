"""`imserver.client` against the real server, which is killed in the middle: nothing lost, nothing twice.

The other one is a byte client that knows nothing of imserver.
"""

from __future__ import annotations

import math
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionLost

from imserver.client import (
    Client,
    Connected,
    Disconnected,
    ErrorCode,
    ImError,
    Message,
    Position,
    connect,
    to_plain,
)
from imserver.client.formats import FORMATS
from imserver.model.presence import PresenceState
from tests.e2e.conftest import Serve
from tests.e2e.people import JsonLinePerson
from tests.e2e.server import NO_RATES, Server, sleep

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
MORE = 30


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, for servers that must come back where they were."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def listeners(ports: list[int]) -> list[str]:
    """The development listeners, there."""
    return [f"listener.{number}.endpoint=tcp:{port}:interface=127.0.0.1" for number, port in enumerate(ports)]


def address(server: Server, format: str) -> str:
    """Where a format is spoken."""
    if format in ("jsonline", "qdatastream"):
        return f"tcp:127.0.0.1:{server.port(format)}"
    port = server.port("/im")
    return f"ws://127.0.0.1:{port}" + ("/im" if format == "protobuf" else "/ws")


async def until(true: Callable[[], bool], what: str = "") -> None:
    """Waits for it."""
    for _ in range(int(PATIENCE / 0.02)):
        if true():
            return
        await sleep(0.02)
    raise AssertionError(f"it never came: {what}")


class Bob(JsonLinePerson):
    """Says b0, b1, … to alice, each until it is answered."""

    said = 0
    goal = math.inf

    async def talk(self) -> None:
        while self.said < self.goal:
            try:
                sent = await self.send(f"bob-{self.said}", f"b{self.said}", user="alice")
            except ConnectionLost:
                return
            assert sent.error == 0, sent
            self.said += 1


class Alice:
    """The client: says a0, a1, … to bob, and notes what she hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.events: list[Any] = []
        self.accepted: list[str] = []
        self.unknown: list[str] = []
        self.refused: list[ErrorCode] = []
        self.said = 0
        self.goal = math.inf
        self.client: Client

    async def on_message(self, message: Message) -> None:
        await sleep(0.0)
        assert message.sender == "bob", message
        self.heard.append(to_plain(message.content))

    async def connect(self, server: Server, format: Any, **options: Any) -> None:
        where = address(server, format)
        self.client = await connect(
            format, where, "alice", password="alice", device="test",
            on_message=self.on_message, on_event=self.events.append, **options,
        )  # fmt: skip

    async def talk(self) -> None:
        window: list[Deferred[None]] = []
        while self.said < self.goal:
            window.append(ensureDeferred(self._say(f"a{self.said}")))
            self.said += 1
            if len(window) == 8:
                await window.pop(0)
        for answer in window:
            await answer

    async def _say(self, text: str) -> None:
        try:
            await self.client.send("bob", text)
        except ImError as error:
            self.refused.append(error.code)
            self.unknown.append(text)
        else:
            self.accepted.append(text)


def numbered(letter: str, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(count)]


def without_repeats(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest_twisted.ensureDeferred
async def test_the_server_is_killed_in_the_middle(serve: Serve, format: str) -> None:
    server = await serve(listeners=listeners(free_ports(4)), overrides=NO_RATES).start()
    alice, bob = Alice(), Bob("bob")
    await alice.connect(server, format)
    await bob.log_in(server)
    alice_talks = ensureDeferred(alice.talk())
    bob_talks = ensureDeferred(bob.talk())
    await until(lambda: len(alice.heard) > 20 and len(alice.accepted) > 20)

    server.kill()
    await bob_talks
    await until(lambda: not alice.client.connected)
    await server.start()
    await bob.log_in(server)
    alice.goal, bob.goal = alice.said + MORE, bob.said + MORE
    await bob.talk()
    await alice_talks
    await until(lambda: f"b{bob.said - 1}" in alice.heard)

    inbox = [row.text for row in await bob.inbox() if row.sender == "alice"]
    # Where the format has presence, Bob's coming back may be told at any time beside these.
    kinds = [type(event) for event in alice.events if isinstance(event, Connected | Disconnected)]
    assert kinds.index(Connected) < kinds.index(Disconnected)
    assert kinds[-1] is Connected
    if format == "qdatastream":
        # Its messages have no ids: what was on its way is reported, and what the server
        # does not know to be delivered comes again.
        assert alice.refused in ([], [ErrorCode.UNAVAILABLE])
        assert inbox == [text for text in numbered("a", alice.said) if text in inbox]
        assert set(alice.accepted) <= set(inbox)
        assert sorted(alice.accepted + alice.unknown) == sorted(numbered("a", alice.said))
        assert without_repeats(alice.heard) == numbered("b", bob.said)
    else:
        assert alice.unknown == []
        assert inbox == numbered("a", alice.said)
        assert alice.heard == numbered("b", bob.said)
    await alice.client.close()
    await bob.log_out()
    await server.stop()


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest_twisted.ensureDeferred
async def test_the_echo_bot(serve: Serve, format: str) -> None:
    server = await serve().start()
    alice = JsonLinePerson("alice")
    await alice.log_in(server)
    command = [sys.executable, str(ROOT / "examples/echo_bot.py"), "--user", "dave", "--format", format]
    for said in ("first", "second"):
        # What was said while no bot was there is answered, too, and nothing again.
        await alice.send(f"{said}-before", f"{said} before", user="dave")
        bot = subprocess.Popen([*command, "--address", address(server, format)], stdout=subprocess.PIPE)
        try:
            await until(partial(heard, alice, f"echo: {said} before"), "the bot's answer")
            await alice.send(f"{said}-after", f"{said} after", group="demo")
            await until(partial(heard, alice, f"echo: {said} after"), "its answer in the group")
        finally:
            bot.kill()
            bot.communicate()
    expected = [f"echo: {said} {when}" for said in ("first", "second") for when in ("before", "after")]
    got = texts_of(alice)
    # Killed, it may have had a message of document 000 that the server did not yet take for
    # delivered; and there are no ids by which to know a repeated answer.
    assert (without_repeats(got) if format == "qdatastream" else got) == expected
    await alice.log_out()
    await server.stop()


def heard(person: JsonLinePerson, text: str) -> bool:
    return text in texts_of(person)


def texts_of(person: JsonLinePerson) -> list[str]:
    return [row.text for row in person.pushed() if row.sender == "dave"]


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest_twisted.ensureDeferred
async def test_what_formats_have(serve: Serve, format: str) -> None:
    server = await serve().start()
    alice = Alice()
    await alice.connect(server, format)
    client = alice.client
    bob = Bob("bob")
    await bob.log_in(server)
    accepted = await client.send("bob", "to bob")
    await client.send("group_demo", "to all")
    await until(lambda: [row.text for row in bob.pushed()] == ["to bob", "to all"])
    with pytest.raises(ImError) as nobody:
        await client.send("nobody", "hm")
    assert nobody.value.code is ErrorCode.USER_NOT_FOUND or format == "qdatastream"
    assert nobody.value.code in (ErrorCode.USER_NOT_FOUND, ErrorCode.NOT_FOUND)
    if format == "qdatastream":
        for missing in (client.history(), client.revoke("m"), client.mark_read(), client.presence()):
            with pytest.raises(ImError) as refused:
                await missing
            assert refused.value.code is ErrorCode.UNKNOWN_COMMAND
    else:
        sent = await bob.send("hello", "hello", user="alice")
        await until(lambda: alice.heard == ["hello"])
        await until(lambda: client.position.seq == 3)
        assert accepted.message_id == bob.pushed()[0].message_id
        client.typing("bob")
        await client.revoke(accepted.message_id)
        await bob.connection.expect(
            "notification/event", lambda line: line["payload"]["event_type"] == "typing"
        )
        await bob.connection.expect(
            "notification/event", lambda line: line["payload"]["event_type"] == "message_revoked"
        )
        if format != "protobuf":
            assert [to_plain(row.message.content) for row in (await client.history("bob")).rows][
                -1
            ] == "hello"
            await client.set_presence(PresenceState.BUSY)
        assert {one.user for one in await client.presence("bob")} == {"bob"}
        assert sent.error == 0
    assert await same_answer(client, format)
    await client.close()
    with pytest.raises(ImError):
        await client.send("bob", "too late")
    await bob.log_out()
    await server.stop()


async def same_answer(client: Client, format: str) -> bool:
    """Whether a send with the same client id is answered alike."""
    answers = [await client.send("bob", "once", client_id="id-1") for _ in range(2)]
    return answers[0] == answers[1] or format == "protobuf"


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest_twisted.ensureDeferred
async def test_refused_log_ins_say_why(serve: Serve, format: Any) -> None:
    server = await serve().start()
    for password, token in (("wrong", ""), ("", "nonsense")):
        with pytest.raises(ImError) as refused:
            await connect(format, address(server, format), "alice", password=password, token=token)
        assert refused.value.code is ErrorCode.AUTH_FAILED, refused.value
    where = address(server, format)
    await server.stop()
    with pytest.raises(ImError) as gone:
        await connect(format, where, "alice", password="alice")
    assert gone.value.code is ErrorCode.UNAVAILABLE


@pytest.mark.parametrize("format", [name for name in sorted(FORMATS) if name != "qdatastream"])
@pytest_twisted.ensureDeferred
async def test_another_program_goes_on_at_a_position(serve: Serve, format: str) -> None:
    server = await serve(overrides=NO_RATES).start()
    bob = Bob("bob")
    await bob.log_in(server)
    alice = Alice()
    await alice.connect(server, format)
    bob.goal = 300
    await bob.talk()
    await until(lambda: len(alice.heard) == 300)
    await alice.client.close()
    again = Alice()
    # Its device has everything; the position says that it wants the last hundred again.
    epoch = alice.client.position.epoch
    await again.connect(server, format, position=Position(200, epoch))
    bob.goal = 310
    await bob.talk()
    await until(lambda: len(again.heard) == 110)
    assert again.heard == [f"b{number}" for number in range(200, 310)]
    await again.client.close()
    await bob.log_out()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_the_example_of_the_documentation(serve: Serve, tmp_path: Path) -> None:
    (example,) = re.findall(
        r"```python\n(from twisted.*?)```", (ROOT / "docs/client.md").read_text(), re.DOTALL
    )
    server = await serve().start()
    for there, here in (("8088", server.port("jsonline")), ("8080", server.port("/im"))):
        assert there in example
        example = example.replace(there, str(here))
    program = tmp_path / "hello.py"
    program.write_text(example)
    running = subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    await until(lambda: running.poll() is not None)
    output, _ = running.communicate()
    assert running.returncode == 0, output
    assert "alice: Hello Bob" in output
    await server.stop()
