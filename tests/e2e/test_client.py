"""`imserver.client` against the real server, which is killed in the middle: nothing lost, nothing twice.

The other one is a byte client that knows nothing of imserver.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
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
    connect,
    to_plain,
)
from imserver.client.formats import FORMATS
from tests.e2e.conftest import Serve
from tests.e2e.people import JsonLinePerson
from tests.e2e.server import NO_RATES, Server, sleep

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
    kinds = [type(event) for event in alice.events]
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
