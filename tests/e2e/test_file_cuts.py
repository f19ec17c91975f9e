"""Transfers that are cut at random: by the client, by the network, by SIGKILL of the server."""

from __future__ import annotations

import random
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.error import ConnectionLost

from imserver.backends.embedded.verify import verify
from tests.clients import filechannel_client as channel
from tests.clients.filechannel_client import ACK, END, ERROR, Check, Content
from tests.e2e.conftest import Serve
from tests.e2e.server import Server, sleep
from tests.e2e.test_files import client, request
from tests.effort import effort, seeds

MIB = 1024 * 1024
SIZE = effort(64 * MIB, 1024 * MIB, 1024 * MIB)
CUTS = effort(5, 50, 50)
MEMORY = 96 * MIB
"""More than this must the server not grow by while it moves files."""


class Cutter:
    """Cuts a transfer once a certain number of bytes was moved."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self.server = server
        self.chance = chance
        self.kills = 0

    async def cut(self, line: channel.FileChannelClient) -> None:
        """One of the ways in which a transfer ends too early."""
        how = self.chance.choice(("close", "reset", "kill"))
        if how == "kill":
            self.kills += 1
            self.server.kill()
            await sleep(0)
        elif how == "reset":
            line.abort()
        else:
            await line.close()
        await line.ended
        if how == "kill":
            await self.server.start()


async def send_with_cuts(cutter: Cutter, content: Content, places: list[int]) -> tuple[str, str]:
    """Uploads, going on after each cut; (transfer id, file id)."""
    acked, transfer = 0, ""
    while True:
        alice = await client(cutter.server, "alice")
        more: dict[str, Any] = {"resume": {"transfer_id": transfer, "offset": acked}} if transfer else {}
        answer = (await alice.request("file/request", request(content, **more)))["payload"]
        assert answer["status"] == 200, answer
        assert transfer in ("", answer["transfer_id"])
        transfer = answer["transfer_id"]
        line = await channel.connect(reactor, answer)
        start = await line.hello(answer)
        assert start >= acked, f"acknowledged {acked}, goes on at {start}"
        line.acked = start
        place = places.pop(0) if places else content.size
        sending = line.upload(content.read, max(place, start), start, answer["chunk_size"])
        if place < content.size:
            await sending
            await sleep(cutter.chance.random() * 0.1)
            await cutter.cut(line)
            acked = line.acked
            alice.abort()
            await alice.ended
            continue
        assert await sending == content.size
        line.send_raw(channel.json_frame(END, sha256=content.sha256))
        kind, end = await line.expect(END, ERROR)
        assert kind == END, end
        await line.close()
        await alice.close()
        return transfer, end["file_id"]


async def fetch_with_cuts(cutter: Cutter, content: Content, transfer: str, places: list[int]) -> None:
    """Downloads, going on after each cut, and compares every byte."""
    check = Check(content)
    while check.at < content.size:
        bob = await client(cutter.server, "bob")
        answer = (await bob.request("file/accept", {"transfer_id": transfer}))["payload"]
        assert answer["status"] == 200, answer
        line: Any = await channel.connect(reactor, answer, check.received)
        await line.hello(answer, check.at)
        place = places.pop(0) if places else content.size
        if place < content.size:
            while check.at < place and not line.lost:
                await sleep(0.001)
            await cutter.cut(line)
            bob.abort()
            await bob.ended
            continue
        try:
            kind, end = await line.expect(END, ERROR)
        except ConnectionLost:
            continue
        assert (kind, end.get("sha256")) == (END, content.sha256), end
        line.send_raw(channel.json_frame(ACK, transfer_id=transfer, offset=content.size, status=200))
        await line.ended
        await bob.close()


@pytest_twisted.ensureDeferred
async def test_cut_at_random_and_bit_identical(serve: Serve) -> None:
    (seed,) = seeds(1)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = await serve().start()
    cutter = Cutter(server, chance)
    content = Content(SIZE + chance.randrange(100_000), seed)
    # Some cuts in the upload, the others in the download; one is always a kill of the server.
    places = sorted(chance.randrange(content.size) for _ in range(CUTS))
    up = [place for place in places if chance.random() < 0.6]
    down = [place for place in places if place not in up]
    transfer, _ = await send_with_cuts(cutter, content, up)
    before = server.rss()
    await fetch_with_cuts(cutter, content, transfer, down)
    if not cutter.kills:
        server.kill()
        await server.start()
        before = server.rss()
        await fetch_with_cuts(cutter, content, transfer, [])
    assert server.rss() - before < MEMORY
    assert not list((server.data / "files" / "parts").iterdir())
    (blob,) = (server.data / "files" / "blobs").glob("??/*")
    assert blob.name == content.sha256
    await server.stop()
    assert verify(server.data) == []


@pytest_twisted.ensureDeferred
async def test_memory_does_not_grow_with_the_file(serve: Serve) -> None:
    server = await serve().start()
    small, large = Content(4 * MIB), Content(SIZE)
    cutter = Cutter(server, random.Random(1))
    transfer, _ = await send_with_cuts(cutter, small, [])
    await fetch_with_cuts(cutter, small, transfer, [])
    before = server.rss()
    transfer, _ = await send_with_cuts(cutter, large, [])
    await fetch_with_cuts(cutter, large, transfer, [])
    assert server.rss() - before < min(MEMORY, SIZE // 2), f"{before} -> {server.rss()}"
    await server.stop()
