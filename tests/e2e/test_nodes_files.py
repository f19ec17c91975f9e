"""Three real nodes over one real Redis: files that are kept and passed on, and calls of groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.clients import filechannel_client, jsonline_client
from tests.clients.chat_app_client import ChatAppClient
from tests.clients.filechannel_client import ACK, END, ERROR, Check, Content, data_frame, json_frame
from tests.clients.jsonline_client import JsonLineClient
from tests.clients.relay_channel import DATA, frame, open_channel
from tests.clients.relay_channel import END as LAST
from tests.clients.rest_client import RestClient
from tests.e2e.nodes import Nodes, three_nodes
from tests.e2e.server import Server, sleep
from tests.e2e.test_chat_app import user
from tests.e2e.test_file_http import create, patch
from tests.e2e.test_files import download, request

PATIENCE = 60.0
MIB = 1024 * 1024
SPOKEN = bytes(range(256)) * 4


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Three nodes that know each other."""
    with three_nodes(tmp_path) as made:
        yield made


async def line(server: Server, name: str) -> JsonLineClient:
    """Somebody with a client of document 004."""
    client: JsonLineClient = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    client.timeout = PATIENCE
    answer = await client.log_in(name, device="test")
    assert answer["payload"]["status"] == 200, answer
    return client


async def app(server: Server, name: str, device: str = "") -> ChatAppClient:
    """Somebody with the deployed client."""
    client = await user(server, name, device)
    client.timeout = PATIENCE
    return client


async def begun(answer: dict[str, Any], content: Content, count: int) -> filechannel_client.FileChannelClient:
    """A channel on which so many bytes more were sent and acknowledged."""
    channel = await filechannel_client.connect(reactor, answer)
    start = await channel.hello(answer)
    for at in range(start, start + count, 65536):
        channel.send_raw(data_frame(at, content.read(at, min(65536, start + count - at))))
    while channel.acked < start + count:
        await channel.expect(ACK)
    return channel


@pytest_twisted.ensureDeferred
async def test_an_upload_goes_on_where_a_node_was_killed(nodes: Nodes) -> None:
    one, two, three = nodes.servers
    content = Content(3 * MIB + 17)
    bob = await line(three, "bob")
    alice = await line(one, "alice")
    answer = (await alice.request("file/request", request(content)))["payload"]
    assert answer["status"] == 200, answer
    transfer = answer["transfer_id"]
    assert (await bob.expect("file/request"))["payload"]["transfer_id"] == transfer

    # Bob waits at his node for what comes in at others.
    accepted = (await bob.request("file/accept", {"transfer_id": transfer}))["payload"]
    assert accepted["endpoint"]["port"] == three.port("files")
    check = Check(content)
    waiting = await filechannel_client.connect(reactor, accepted, check.received)
    waiting.send_raw(
        json_frame(
            filechannel_client.HELLO,
            transfer_id=transfer,
            token=accepted["channel_token"],
            role="receiver",
            offset=0,
        )
    )

    # From one node to the other while the first one holds it, and away from one that dies.
    first = await begun(answer, content, MIB)
    again = await line(two, "alice")
    resumed = {**request(content), "resume": {"transfer_id": transfer, "offset": MIB}}
    answer = (await again.request("file/request", resumed))["payload"]
    assert (answer["status"], answer["transfer_id"], answer["resume_offset"]) == (200, transfer, MIB), answer
    second = await begun(answer, content, MIB)
    await first.expect(ERROR)
    two.kill()
    for lost in (second, again):
        lost.abort()

    answer = (
        await alice.request(
            "file/request", {**resumed, "resume": {"transfer_id": transfer, "offset": 2 * MIB}}
        )
    )["payload"]
    assert answer["resume_offset"] == 2 * MIB, answer
    last = await begun(answer, content, MIB + 17)
    last.send_raw(json_frame(END, sha256=content.sha256))
    kind, end = await last.expect(END, ERROR)
    assert (kind, end["sha256"]) == (END, content.sha256), end

    kind, end = await waiting.expect(END, ERROR)
    assert (kind, end["sha256"], check.at) == (END, content.sha256, content.size), end
    await bob.expect(
        "message/event", lambda event: event["payload"]["content"].get("file_id") == end["file_id"]
    )
    # And from the node where it came in.
    carol = await line(one, "bob")
    accepted = (await carol.request("file/accept", {"file_id": end["file_id"]}))["payload"]
    await download(accepted, content)
    for client in (last, waiting, alice, bob, carol):
        await client.close()
    for server in (one, three):
        await server.stop()


@pytest_twisted.ensureDeferred
async def test_over_http_each_request_goes_to_another_node(nodes: Nodes) -> None:
    one, two, three = [RestClient(server.port("/im"), "demo_token_alice") for server in nodes.servers]
    bob = await line(nodes.servers[1], "bob")
    content = Content(MIB + 321)
    half = MIB // 2
    place = (await deferToThread(create, one, content, to="bob")).headers["location"]
    sent = await deferToThread(patch, two, place, 0, content.read(0, half))
    assert (sent.status, sent.headers["upload-offset"]) == (204, str(half)), sent
    there = await deferToThread(three.call, "HEAD", place)
    assert there.headers["upload-offset"] == str(half)
    sent = await deferToThread(patch, three, place, half, content.read(half, content.size))
    assert sent.status == 204, sent
    file = sent.headers["x-file-id"]
    await bob.expect("message/event", lambda event: event["payload"]["content"].get("file_id") == file)
    for web in (one, two, three):
        got = await deferToThread(web.get, f"/api/files/{file}")
        assert (got.status, got.raw == content.read(0, content.size)) == (200, True)
    await bob.close()
    for server in nodes.servers:
        await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_file_that_is_passed_on(nodes: Nodes) -> None:
    one, two, three = nodes.servers
    content = os.urandom(300_000)
    alice, bob, phone = await app(one, "alice"), await app(two, "bob"), await app(three, "bob", "phone")

    async def offered(size: int) -> str:
        offer = {
            "target": {"type": "user", "id": "bob"},
            "file_name": "a.bin",
            "file_size": size,
            "checksum": "",
        }
        (session,) = (await alice.ask("file/request", offer))["sessions"]
        for client in (bob, phone):
            await client.next("file/request", session_id=session["session_id"])
        return str(session["session_id"])

    id = await offered(len(content))
    await bob.ask("file/accept", {"session_id": id})
    place = await bob.next("file/accept")
    assert await alice.next("file/accept") == place
    # The bytes go through the sender's node.
    assert place["channel_port"] == one.port("files")
    assert (await phone.next("file/error"))["session_id"] == id
    sender = await open_channel(reactor, place, "sender", "alice")
    receiver = await open_channel(reactor, place, "receiver", "bob")
    sender.send(frame(DATA, content), frame(LAST, b"{}"))
    await receiver.last()
    assert receiver.data() == content
    for client in (alice, bob):
        assert (await client.next("file/complete"))["session_id"] == id

    # An offer ends with its node.
    id = await offered(5)
    one.kill()
    alice.abort()
    for client in (bob, phone):
        assert (await client.next("file/error"))["session_id"] == id
        await client.ask("file/accept", {"session_id": id}, status=404)
        await client.close()
    for server in (two, three):
        await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_call_of_a_group(nodes: Nodes) -> None:
    band = ("alice", "bob", "carol")
    clients = [await app(server, name) for server, name in zip(nodes.servers, band, strict=True)]
    alice, bob, carol = clients
    await alice.ask("room/create", {"room_id": "band", "members": ["bob", "carol"]})

    async def runs(call: str, caller: ChatAppClient, *others: ChatAppClient) -> None:
        room = {"call_type": "group", "target": {"type": "room", "id": "band"}}
        await caller.ask("voice/call", room, id=call)
        for one in others:
            await one.next("voice/event", event_type="incoming", call_id=call)
            await one.ask("voice/answer", {"call_id": call})
            await one.next("voice/event", event_type="connected", call_id=call)
            await caller.next("voice/event", event_type="member_joined", call_id=call)

    async def says(call: str, speaker: ChatAppClient, name: str, *hearers: ChatAppClient) -> None:
        speaker.send_event("voice/data", {"call_id": call, "data": SPOKEN.hex()})
        for one in hearers:
            heard = await one.next("voice/data")
            assert heard == {"call_id": call, "data": SPOKEN.hex(), "from_user": name}

    await runs("c1", alice, bob, carol)
    for number, speaker in enumerate(clients):
        await says("c1", speaker, band[number], *(one for one in clients if one is not speaker))

    # The home is lost: the others hear the end of it, and may call each other again.
    home = nodes.home_of("group-call/band")
    left = [one for one, server in zip(clients, nodes.servers, strict=True) if server is not home]
    names = [name for name, server in zip(band, nodes.servers, strict=True) if server is not home]
    gone = next(one for one in clients if one not in left)
    home.kill()
    gone.abort()
    for one in left:
        ended = await one.next("voice/event", event_type="ended", call_id="c1")
        assert sorted(ended["participants"]) == sorted(band)
    while True:  # one home does not know yet what the other one does
        answer = await left[0].request(
            "voice/call", {"call_type": "group", "target": {"type": "room", "id": "band"}}, id="c2"
        )
        if answer["payload"]["status"] == 200:
            break
        await sleep(0.2)
    await left[1].next("voice/event", event_type="incoming", call_id="c2")
    await left[1].ask("voice/answer", {"call_id": "c2"})
    await left[0].next("voice/event", event_type="connected", call_id="c2")
    await says("c2", left[0], names[0], left[1])

    # So is the node of one who takes part.
    last = nodes.servers[clients.index(left[1])]
    last.kill()
    left[1].abort()
    ended = await left[0].next("voice/event", event_type="ended", call_id="c2")
    assert sorted(ended["participants"]) == sorted(names)
    await left[0].close()
    await nodes.servers[clients.index(left[0])].stop()
