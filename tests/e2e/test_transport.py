"""`[performance] transport`: which is used; messages and crowds pass over either, and another reactor."""

from __future__ import annotations

import json
import socket
import struct
import sys
from pathlib import Path

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.clients import jsonline_client
from tests.clients.rest_client import RestClient
from tests.e2e.conftest import Serve

CROWD = 100


@pytest.mark.parametrize(
    ("wanted", "turning", "line"),
    [
        ("fast", "", "transport: fast"),
        ("stock", "", "transport: stock"),
        (
            "fast",
            "poll",
            "transport: stock, for the fast one does not know this Twisted: the reactor is PollReactor",
        ),
    ],
)
@ensureDeferred
async def test_transport(serve: Serve, tmp_path: Path, wanted: str, turning: str, line: str) -> None:
    twistd = Path(sys.executable).with_name("twistd")
    if turning:
        script = tmp_path / "twistd"
        script.write_text(f'#!/bin/sh\nexec {twistd} --reactor={turning} "$@"\n')
        script.chmod(0o755)
        twistd = script
    server = await serve(overrides=[f"performance.transport={wanted}"], twistd=twistd).start()
    said = [text.partition("] ")[2] for text in server.output().splitlines() if "transport:" in text]
    assert said == [line]
    clients = []
    for name in ("alice", "bob"):
        clients.append(await jsonline_client.connect_tcp(reactor, server.port("jsonline")))
        await clients[-1].log_in(name, name)
    alice, bob = clients
    for text in ("one", "two"):
        pushed = bob.expect("message/event")
        answer = await alice.send_text("bob", text)
        assert answer["payload"]["status"] == 200
        assert (await pushed)["payload"]["content"]["text"] == text
    for client in clients:
        await client.close()
    await server.stop()


def _crowd(port: int, said: bytes) -> list[socket.socket]:
    """Connections that all say that at once."""
    peers = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(CROWD)]
    for peer in peers:
        peer.sendall(said)
    return peers


def _answers(peers: list[socket.socket]) -> list[str]:
    """The first line that each is answered."""
    return [json.loads(peer.makefile("rb").readline())["id"] for peer in peers]


def _cut_off(peers: list[socket.socket]) -> None:
    """Half of them end in order, half by a reset."""
    for number, peer in enumerate(peers):
        if number % 2:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()


def _connections(port: int) -> float:
    text = RestClient(port).get("/metrics").raw.decode()
    line = next(one for one in text.splitlines() if one.startswith("imserver_connections "))
    return float(line.rpartition(" ")[2])


@pytest.mark.parametrize("transport", ["fast", "stock"])
@ensureDeferred
async def test_crowds_come_and_go_and_none_is_forgotten(serve: Serve, transport: str) -> None:
    server = await serve(overrides=[f"performance.transport={transport}"]).start()
    port = server.port("jsonline")
    alice = await jsonline_client.connect_tcp(reactor, port)
    await alice.log_in("alice", "alice")
    for number in range(2):
        said = json.dumps({"id": f"p{number}", "command": "control/ping"}).encode() + b"\n"
        peers = await deferToThread(_crowd, port, said)
        answer = await alice.send_text("bob", "meanwhile")
        assert answer["payload"]["status"] == 200
        assert await deferToThread(_answers, peers) == [f"p{number}"] * CROWD
        await deferToThread(_cut_off, peers)
        answer = await alice.send_text("bob", "after that")
        assert answer["payload"]["status"] == 200
        # Alice, and who asks.
        while await deferToThread(_connections, server.port("/im")) > 2:
            await deferLater(reactor, 0.05)
    await alice.close()
    await server.stop()
