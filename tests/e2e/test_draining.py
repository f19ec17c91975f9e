"""A server that is one of several goes down: not ready, then all are sent away in turn, nothing is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from tests.clients import jsonline_client, protobuf_client
from tests.clients.rest_client import RestClient
from tests.e2e.conftest import Serve
from tests.e2e.server import NO_RATES, Server, StartFailed, sleep
from tests.e2e.test_shutdown import Load
from tests.ports import free_port

PEOPLE = 12
PATIENCE = 60.0


async def unready(rest: RestClient) -> None:
    """Waits until /readyz says so."""
    waited = 0.0
    while rest.get("/readyz").status != 503:
        await sleep(0.02)
        waited += 0.02
        assert waited < PATIENCE


@ensureDeferred
async def test_drained_under_load(serve: Serve) -> None:
    server = await serve(
        overrides=[*NO_RATES, "shutdown.notice_seconds=1", "shutdown.drain_seconds=2"]
    ).start()
    lines = server.port("jsonline")
    load = Load()
    clients = []
    for number in range(PEOPLE):
        client = await jsonline_client.connect_tcp(reactor, lines)
        assert (await client.log_in("alice", device=f"d{number}"))["payload"]["status"] == 200
        load.lines(client)
        clients.append(client)
    rest = RestClient(server.port("/im"))
    assert rest.get("/readyz").status == 200
    os.kill(server.pid, signal.SIGTERM)
    await unready(rest)
    # Noticed, but not gone: who comes is served.
    late = await jsonline_client.connect_tcp(reactor, lines)
    assert (await late.log_in("carol"))["payload"]["status"] == 200
    assert (await late.send_text("bob", "late"))["payload"]["status"] == 200
    left: list[int] = []

    async def goodbye(number: int) -> None:
        payload = (await clients[number].expect("control/error"))["payload"]
        assert payload["status"] == 503
        await clients[number].ended
        left.append(number)

    await gatherResults([Deferred.fromCoroutine(goodbye(number)) for number in range(PEOPLE)])
    # In turn, in the order in which they came, but for neighbours that went at the same time.
    assert all(abs(place - number) < PEOPLE // 2 for place, number in enumerate(left)), left
    await late.ended
    assert await server.ended() in (0, -signal.SIGTERM)
    await gatherResults(load.running)
    server.assert_clean()

    await server.start()
    bob = await protobuf_client.connect_user(reactor, server.port("/ws"), "bob")
    kept = [row["message_id"] for row in await bob.sync_all()]
    assert len(kept) == len(set(kept))
    assert load.acknowledged <= set(kept)
    assert load.acknowledged
    await bob.close()
    server.kill()


@ensureDeferred
async def test_a_second_sigterm_ends_the_waiting(serve: Serve) -> None:
    server = await serve(overrides=["shutdown.notice_seconds=3600", "shutdown.drain_seconds=3600"]).start()
    client = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await client.log_in("alice")
    rest = RestClient(server.port("/im"))
    os.kill(server.pid, signal.SIGTERM)
    await unready(rest)
    os.kill(server.pid, signal.SIGTERM)
    payload = (await client.expect("control/error"))["payload"]
    # Told by the last goodbye, which says when to come back.
    assert payload["retry_after"] == 0.001
    await client.ended
    assert await server.ended() in (0, -signal.SIGTERM)
    server.assert_clean()


def sharing(port: int) -> list[str]:
    """Settings of a server that shares its port for document 004."""
    found = [f"listener.{number}.endpoint=tcp:0:interface=127.0.0.1" for number in (0, 1, 3, 4)]
    return [*found, f"listener.2.endpoint=tcp:{port}:interface=127.0.0.1", "listener.2.share_port=true"]


async def who_answers(servers: dict[int, Server], port: int) -> set[int]:
    """Which of the servers, by their process ids, hold connections after some were made."""
    clients = [await jsonline_client.connect_tcp(reactor, port) for _ in range(24)]
    for client in clients:
        await client.request("control/ping", {})
    busy = set()
    for pid, server in servers.items():
        text = RestClient(server.port("/im")).get("/metrics").raw.decode()
        line = next(one for one in text.splitlines() if one.startswith("imserver_connections "))
        # One connection is that of the question.
        if float(line.rpartition(" ")[2]) > 1:
            busy.add(pid)
    for client in clients:
        await client.close()
    return busy


@ensureDeferred
async def test_two_servers_share_a_port(serve: Serve, tmp_path: Path) -> None:
    port = free_port()
    one = await serve("one", listeners=sharing(port)).start()
    two = await serve("two", listeners=sharing(port)).start()
    assert await who_answers({one.pid: one, two.pid: two}, port) == {one.pid, two.pid}
    # One goes; the other takes all.
    pid = one.pid
    await one.stop()
    assert await who_answers({two.pid: two}, port) == {two.pid}
    assert two.pid != pid
    # Without the word it is refused.
    with pytest.raises(StartFailed) as refused:
        await serve("three", listeners=sharing(port)[:-1]).start()
    assert refused.value.code == 1
    assert "cannot listen: Address already in use" in refused.value.output
    elsewhere = serve("four", listeners=sharing(port), overrides=["listener.2.endpoint=unix:/nowhere"])
    with pytest.raises(StartFailed, match="share_port needs a tcp endpoint"):
        await elsewhere.start()
    await two.stop()
