"""A room of a thousand: everybody knows of everybody, however they come and go, and nothing stays behind."""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults

from tests.clients.meeting_client import MeetingClient, apply
from tests.clients.rest_client import RestClient
from tests.clients.websocket_client import connect_tcp
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES, Server, sleep
from tests.effort import effort

ENDPOINTS = effort(400, 1000, 1000)
USERS = 50
AT_ONCE = 50
ROUNDS = 24


class Member(MeetingClient):
    """A client that reads each event once for all of its kind: they differ in the session only."""

    known: ClassVar[dict[bytes, dict[str, Any]]] = {}

    def message_received(self, opcode: int, payload: bytes) -> None:
        """See WebSocketClient."""
        session = self.session.encode()
        if not (session and payload.startswith(b'{"version":0,"cseq":0,"event":') and session in payload):
            super().message_received(opcode, payload)
            return
        common = payload.replace(session, b"", 1)
        event = self.known.get(common)
        if event is None:
            super().message_received(opcode, payload)
            self.known[common] = json.loads(payload)
        else:
            apply(self.view, event)


async def in_batches(work: list[Any]) -> None:
    """Runs coroutines, some at a time."""
    for start in range(0, len(work), AT_ONCE):
        await gatherResults(
            [ensureDeferred(one) for one in work[start : start + AT_ONCE]], consumeErrors=True
        )


async def enter(server: Server, number: int, people: dict[int, MeetingClient]) -> None:
    """Joins as endpoint `e<number>` and takes the dump."""
    client = Member(reactor, path=f"/meeting?token=demo_token_u{number % USERS}")
    await connect_tcp(reactor, server.port("/meeting"), client)
    client.timeout = 300.0
    client.keep_events = False
    joined = await client.join("app", "hall", f"e{number}")
    assert joined["err"] == 0, joined
    await client.dump()
    people[number] = client


async def publish(client: MeetingClient, number: int) -> None:
    """stream.add."""
    answer = await client.publish(f"s{number}")
    assert answer["err"] == 0, answer


async def go(client: MeetingClient, number: int) -> None:
    """Every other one leaves, the others' sockets drop."""
    if number % 4 < 2:
        assert (await client.request("channel.leave"))["err"] == 0
        await client.close()
    else:
        client.abort()
        await client.closed


async def agree(client: MeetingClient, names: set[str]) -> None:
    """What it knows by its first dump and the events is what a dump says now, and the truth."""
    await client.dump()
    assert client.heard == client.view
    assert set(client.view) == names
    assert all(stream == f"s{name[1:]}" for name, (_, stream) in client.view.items())


async def until(server: Server, endpoints: int) -> None:
    """Waits until so many are there, lost ones included."""
    deadline = time.monotonic() + 120
    while True:
        text = RestClient(server.port("/im")).get("/metrics").raw.decode()
        if f"\nimserver_rooms_endpoints {endpoints}.0\n" in text:
            return
        assert time.monotonic() < deadline, text
        await sleep(0.1)


async def one_round(server: Server, count: int = ENDPOINTS) -> None:
    """All join, publish; half of them go; the others agree, and go, too."""
    people: dict[int, MeetingClient] = {}
    await in_batches([enter(server, number, people) for number in range(count)])
    await in_batches([publish(client, number) for number, client in people.items()])
    await in_batches([go(people.pop(number), number) for number in range(0, count, 2)])
    await until(server, count // 2)
    names = {f"e{number}" for number in people}
    await in_batches([agree(client, names) for client in people.values()])
    await in_batches([go(client, number // 2) for number, client in people.items()])
    await until(server, 0)


@pytest_twisted.ensureDeferred
async def test_a_thousand_come_and_go(serve: Serve) -> None:
    server = await serve(overrides=[*NO_RATES, "rooms.grace_seconds=1"]).start()
    began = time.monotonic()
    await one_round(server)
    print(f"{time.monotonic() - began:.1f} s")
    # The heap finds its size within some rounds. A leak has no such level: it shows in all of them.
    sizes: list[int] = []
    while len(sizes) < 6 or sum(sizes[-3:]) >= 1.02 * sum(sizes[-6:-3]):
        assert len(sizes) < ROUNDS, sizes
        await one_round(server, ENDPOINTS // 4)
        sizes.append(server.rss() // 1024)
        print(sizes)
    text = RestClient(server.port("/im")).get("/metrics").raw.decode()
    for line in (
        "imserver_rooms 0.0",
        "imserver_rooms_streams 0.0",
        'imserver_sessions{format="meeting"} 0.0',
    ):
        assert f"\n{line}\n" in text, line
    assert 'imserver_slow_peers_total{format="meeting"} 0.0' in text
    await server.stop()
