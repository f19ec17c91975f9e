"""Garbage on every listener: nobody else is hurt, nothing is logged as a failure, memory stays."""

from __future__ import annotations

import contextlib
import itertools
import random
import statistics
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from tests.clients import jsonline_client, protobuf_client
from tests.clients.websocket_client import WebSocketClient, connect_tcp
from tests.e2e.conftest import Serve
from tests.e2e.garbage import FRAMES, LINES, REQUESTS
from tests.e2e.server import NO_RATES, Server, sleep
from tests.effort import effort, seeds

ROUNDS = effort(40, 50, 200)
STRETCHES = 8
AT_ONCE = 6


class Raw(Protocol):
    """Sends bytes and reads what comes until the end."""

    transport: ITCPTransport

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.ended.callback(None)


async def raw(port: int) -> Raw:
    """A bare connection."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    client: Raw = await connectProtocol(endpoint, Raw())
    return client


async def spoil_lines(server: Server, chance: random.Random) -> None:
    """Garbage lines, logged in or not."""
    client = await raw(server.port("jsonline"))
    if chance.random() < 0.5:
        login = {"username": "carol", "password": "carol", "client_info": {}}
        client.transport.write(jsonline_client.encode("auth/login", login, id="1"))
        await sleep(0.02)
    for _ in range(3):
        client.transport.write(chance.choice(LINES)(chance))
    await _leave(client, chance)


async def spoil_frames(server: Server, chance: random.Random) -> None:
    """Garbage frames on an open WebSocket, logged in or not."""
    path = chance.choice(["/ws", "/im"])
    client = await connect_tcp(reactor, server.port(path), WebSocketClient(path))
    if chance.random() < 0.5:
        body = protobuf_client.encode("AUTH_REQ", user_id="carol", token="demo_token_carol")
        client.send_binary(protobuf_client.encode_envelope(100, 1, body, 1))
        await client.next_message()
    for _ in range(3):
        client.send_raw(chance.choice(FRAMES)(chance))
    await sleep(0.01)
    client.abort()
    # What it says about itself afterwards is the conformance suite's matter.
    with contextlib.suppress(Exception):
        await client.closed


async def spoil_requests(server: Server, chance: random.Random) -> None:
    """Garbage instead of an HTTP request."""
    client = await raw(server.port(chance.choice(["/ws", "/im"])))
    client.transport.write(chance.choice(REQUESTS)(chance))
    await _leave(client, chance)


async def _leave(client: Raw, chance: random.Random) -> None:
    await sleep(0.01)
    if chance.random() < 0.5:
        client.transport.abortConnection()
    else:
        client.transport.loseConnection()
    await client.ended


def growth(sizes: list[int]) -> float:
    """How much the line through the sizes rises from the first to the last, as a share of their median.

    Its slope is the median of the slopes between any two sizes (Theil and Sen): it is that of a steady
    growth, and hardly moved by the few steps of an allocator that takes or gives back a whole arena.
    """
    slopes = [
        (later - earlier) / (second - first)
        for (first, earlier), (second, later) in itertools.combinations(enumerate(sizes), 2)
    ]
    return statistics.median(slopes) * len(sizes) / statistics.median(sizes)


async def converse(alice: Any, bob: Any, number: int) -> None:
    """One message each way between two well-behaved clients."""
    sent = await alice.send_text_message("bob", f"still here {number}")
    assert sent["error_code"] == 0, sent
    event = await bob.expect("message/event")
    assert event["payload"]["message"]["message_id"] == sent["message_id"]
    answer = (await bob.send_text("alice", f"me too {number}"))["payload"]
    assert answer["status"] == 200, answer
    push = await alice.expect("PUSH_MSG")
    assert push["message_id"] == answer["message_id"]
    alice.pushes.clear()
    bob.lines.clear()
    bob.events.clear()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("spoil", [spoil_lines, spoil_frames, spoil_requests])
async def test_garbage_hurts_nobody_else(serve: Serve, spoil: Any, seed: int) -> None:
    print(f"{spoil.__name__}: IMSERVER_SEED={seed}")
    chance = random.Random(seed)
    # Log-ins with nonsense are limited per address; here all peers share one.
    limits = ["limits.failed_logins_per_address=1000000", "limits.failed_logins_per_account=1000000"]
    server = await serve(overrides=[*NO_RATES, *limits]).start()
    alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
    bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    await bob.log_in("bob")
    # Caches and the heap find their size within some stretches, the first one at least. A leak has no
    # such level: it shows in every stretch.
    stretches: list[list[int]] = []
    while len(stretches) < 2 or growth(stretches[-1]) >= 0.01:
        assert len(stretches) < STRETCHES, [[size // 1024 for size in sizes] for sizes in stretches]
        sizes = []
        for number in range(ROUNDS):
            for _ in range(AT_ONCE):
                await spoil(server, chance)
            await converse(alice, bob, number)
            sizes.append(server.rss())
        stretches.append(sizes)
        print(f"stretch {len(stretches)}: {growth(sizes):.2%} more")
    await alice.close()
    await bob.close()
    await server.stop()
