"""Three real nodes over one real Redis: whoever is on whichever reaches everybody, and a node may die."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from imserver.services.call_requests import pair_key
from tests.clients import jsonline_client
from tests.clients.jsonline_client import JsonLineClient, Line
from tests.clients.meeting_client import MeetingClient, connect, connect_member
from tests.clients.qdatastream_client import packet, packets
from tests.clients.rest_client import RestClient
from tests.e2e.commands import imserver
from tests.e2e.nodes import Nodes, three_nodes
from tests.e2e.phones import answer, close, end, ended, heard, offer, phone, runs
from tests.e2e.server import Server, sleep
from tests.e2e.test_calls import close as hang_up
from tests.e2e.test_calls import running
from tests.e2e.test_calls import user as registered

PATIENCE = 60.0
"""Seconds: a node is known to be lost after less than ten, on a machine that is not slow."""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Three nodes that know each other."""
    with three_nodes(tmp_path) as made:
        yield made


@pytest.fixture
def patient_nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Nodes that say six seconds before that they go down."""
    with three_nodes(tmp_path, "shutdown.notice_seconds=6") as made:
        yield made


async def line(server: Server, user: str, device: str = "test") -> JsonLineClient:
    """Somebody with a client of document 004."""
    client: JsonLineClient = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
    client.timeout = PATIENCE
    logged_in = await client.log_in(user, device=device)
    assert logged_in["payload"]["status"] == 200, logged_in
    return client


async def told(client: JsonLineClient, text: str) -> None:
    """The message comes."""
    await client.expect("message/event", lambda event: event["payload"]["content"].get("text") == text)


async def state(client: JsonLineClient, user: str, wanted: str) -> None:
    """A user's presence becomes this. (It may be told more than once.)"""
    await client.expect("presence/event", lambda event: told_of(event) == (user, wanted))


def told_of(event: Line) -> tuple[str, str]:
    """Who is what."""
    return event["payload"]["user_id"], event["payload"]["state"]


async def operator(server: Server, *arguments: str) -> str:
    """`imserver ARGUMENTS` beside a node."""
    done = await deferToThread(imserver, *arguments, "--data-dir", str(server.data))
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest_twisted.ensureDeferred
async def test_chat_presence_typing_and_kicks(nodes: Nodes) -> None:
    one, two, three = nodes.servers
    alice, bob = await line(one, "alice"), await line(two, "bob")
    sent = await alice.send_text("bob", "hello from another node")
    assert sent["payload"]["status"] == 200
    await told(bob, "hello from another node")
    await bob.send_text("alice", "and back")
    await told(alice, "and back")

    tablet = await line(three, "alice", "tablet")
    await tablet.request("presence/update", {"state": "away"})
    await alice.request("presence/update", {"state": "busy"})
    await state(bob, "alice", "busy")
    await alice.close()
    await state(bob, "alice", "away")
    listed = await bob.request("presence/list", {"users": ["alice"]})
    assert [one["state"] for one in listed["payload"]["users"]] == ["away"]

    tablet.send_event("message/typing", {"typing": True, "target": {"type": "user", "id": "bob"}})
    event = await bob.expect("notification/event")
    assert (event["payload"]["event_type"], event["payload"]["user_id"]) == ("typing", "alice")

    made = await tablet.request("group/create", {"group_id": "team", "members": ["bob", "carol"]})
    assert made["payload"]["status"] == 200, made
    await bob.expect("notification/event", lambda event: event["payload"]["event_type"] == "group_created")
    carol = await line(one, "carol")
    await carol.send_text(group="team", text="all of you")
    for client in (bob, tablet):
        await told(client, "all of you")

    sessions = await operator(one, "session", "list")
    assert [user for user in ("alice", "bob", "carol") if user not in sessions] == []
    await operator(one, "user", "kick", "alice")
    await tablet.expect("auth/kick")
    await tablet.ended
    await state(bob, "alice", "offline")
    for client in (bob, carol):
        await client.close()
    for server in nodes.servers:
        await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_token_of_one_node_is_good_on_all(nodes: Nodes) -> None:
    one, two, three = nodes.servers
    given = await deferToThread(
        RestClient(one.port("/im")).call,
        "POST",
        "/api/auth/login",
        {"username": "alice", "password": "alice"},
    )
    for server in (two, three):
        client: JsonLineClient = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
        answered = await client.request("auth/login", {"token": given.data["token"], "client_info": {}})
        assert answered["payload"]["status"] == 200, answered
        await client.close()
    await operator(one, "token", "rotate-keys", "--forget-old")
    # The others find out when they look at the shared file again.
    while True:
        late: JsonLineClient = await jsonline_client.connect_tcp(reactor, three.port("jsonline"))
        answered = await late.request("auth/login", {"token": given.data["token"], "client_info": {}})
        await late.close()
        if answered["payload"]["status"] == 401:
            break
        assert answered["payload"]["status"] == 200, answered
        await sleep(0.2)


@pytest_twisted.ensureDeferred
async def test_a_call_rings_on_all_nodes_and_is_answered_elsewhere(nodes: Nodes) -> None:
    alice = await phone(nodes.servers[0], "alice")
    bobs = [await phone(server, "bob", f"device{number}") for number, server in enumerate(nodes.servers)]
    offer(alice, "bob", "c1")
    for bob in bobs:
        assert (await heard(bob, "call.offer", "c1"))["from_user"] == "alice"
    assert (await heard(alice, "call.status", "c1"))["status"] == "ringing"
    answer(bobs[2], "c1", "three")
    assert (await heard(alice, "call.answer", "c1"))["sdp"]["sdp"].endswith("s=three\r\n")
    for bob in bobs[:2]:
        await ended(bob, "c1", "answered_elsewhere")
    end(bobs[2], "c1")
    await ended(alice, "c1", "user_hangup")
    await close(alice, *bobs)
    for server in nodes.servers:
        await server.stop()


@pytest_twisted.ensureDeferred
async def test_media_is_relayed_between_nodes(nodes: Nodes) -> None:
    one, two, _ = nodes.servers
    alice, bob = await registered(one, "alice"), await registered(two, "bob", False, "qstring")
    call = await running(alice, bob, "bob")
    for number in range(20):
        alice.media(packet(number, 20_000))
        await sleep(0.02)
    while len(bob.heard(call)) < 20 * 20_000:
        await bob.expect("media")
    assert packets(bob.heard(call), 20_000) == list(range(20))
    alice.end()
    for party in (alice, bob):
        assert (await party.expect("call_end"))["call"] == call
    await hang_up(alice, bob)


@pytest_twisted.ensureDeferred
async def test_a_call_whose_partys_node_dies(nodes: Nodes) -> None:
    one, two, three = nodes.servers
    name = next(f"dave{n}" for n in range(50) if nodes.home_of(pair_key("carol", f"dave{n}")) is not two)
    alice, bob = await registered(one, "alice"), await registered(two, "bob")
    carol, dave = await phone(one, "carol"), await phone(two, name)
    watcher = await line(three, "carol", "watcher")
    await watcher.send_text(name, "hello")
    call = await running(alice, bob, "bob")
    await runs(carol, dave, name, "c1")
    two.kill()
    for lost in (bob, dave):
        lost.abort()
    assert (await alice.expect("call_end"))["call"] == call
    await state(watcher, name, "offline")
    # Document 002's parties may come back, to any node.
    back = await phone(three, name)
    back.send("call.status", {"call_id": "c1", "status": "back"})
    await carol.expect("call.status", lambda message: message["payload"]["status"] == "back")
    end(carol, "c1")
    await ended(back, "c1", "user_hangup")
    await close(back, carol, watcher)
    await hang_up(alice)


@pytest_twisted.ensureDeferred
async def test_calls_whose_home_dies(nodes: Nodes) -> None:
    """They end, with their reason; others go on."""
    one, two, three = nodes.servers
    homes = {number: nodes.home_of(pair_key(f"x{number}", f"y{number}")) for number in range(50)}
    doomed = next(number for number, home in homes.items() if home is three)
    other = next(number for number, home in homes.items() if home is not three)
    relayed = next(n for n in range(50) if nodes.home_of(pair_key(f"v{n}", f"w{n}")) is three)
    pairs = {n: (await phone(one, f"x{n}"), await phone(two, f"y{n}")) for n in (doomed, other)}
    for number, (caller, callee) in pairs.items():
        await runs(caller, callee, f"y{number}", f"c{number}")
    framed = await registered(one, f"v{relayed}"), await registered(two, f"w{relayed}")
    call = await running(framed[0], framed[1], f"w{relayed}")
    three.kill()
    for client in pairs[doomed]:
        await ended(client, f"c{doomed}", "server_error")
    for party in framed:
        assert (await party.expect("call_end"))["call"] == call
    caller, callee = pairs[other]
    caller.send("call.status", {"call_id": f"c{other}", "status": "still here"})
    await callee.expect("call.status", lambda message: message["payload"]["status"] == "still here")
    # Nobody is busy with what is over, and new calls find another home.
    await runs(*pairs[doomed], f"y{doomed}", "again")
    await running(framed[0], framed[1], f"w{relayed}")
    await close(*pairs[doomed], caller, callee)
    await hang_up(*framed)


def port(server: Server) -> int:
    """The listener of the rooms."""
    return server.port("/meeting")


async def same_view(*clients: MeetingClient) -> None:
    """Whoever is in a room knows of it by events what the dump says, as soon as that comes."""
    for client in clients:
        await client.dump()
        assert client.heard == client.view


@pytest_twisted.ensureDeferred
async def test_a_room_over_nodes(nodes: Nodes) -> None:
    clients = [
        await connect_member(reactor, port(server), user)
        for server, user in zip(nodes.servers, ("alice", "bob", "carol"), strict=True)
    ]
    alice, bob, carol = clients
    await alice.publish("s1")
    await carol.expect("stream")
    await carol.request("broadcast", {"text": "hi"})
    for client in (alice, bob):
        assert (await client.expect("broadcast"))["data"]["payload"] == {"text": "hi"}
    await same_view(*clients)
    shown = await operator(nodes.servers[0], "room", "list", "app/room")
    assert [name for name in ("alice", "bob", "carol") if name not in shown] == []
    await operator(nodes.servers[1], "room", "kick", "app/room", "carol")
    assert (await carol.expect("error"))["data"] == {"type": "kicked"}
    await alice.expect("endpoint", lambda data: data["stat"] == "leave")
    await same_view(alice, bob)
    for client in (alice, bob):
        await client.close()
    for server in nodes.servers:
        await server.stop()


@pytest_twisted.ensureDeferred
async def test_a_room_whose_nodes_die(nodes: Nodes) -> None:
    home = nodes.home_of("room/app/room")
    first, second = [server for server in nodes.servers if server is not home]
    alice = await connect_member(reactor, port(first), "alice")
    bob = await connect_member(reactor, port(second), "bob")
    alice.timeout = bob.timeout = PATIENCE
    await bob.publish("s1")
    await alice.expect("stream")
    session = bob.session

    second.kill()
    bob.abort()
    # His endpoint waits for him, on whatever node he comes back.
    back = await connect(reactor, port(home), token="demo_token_bob")
    back.timeout = PATIENCE
    while (answered := await back.join("app", "room", "bob", session=session))["err"] == 99:
        await sleep(0.2)
    assert (answered["err"], back.session) == (0, session), answered
    await back.dump()
    await same_view(alice, back)
    assert back.view == {"alice": ("alice", None), "bob": ("bob", "s1")}

    home.kill()
    back.abort()
    assert (await alice.expect("error"))["data"] == {"type": "shutdown"}
    await alice.closed
    again = await connect_member(reactor, port(first), "alice", session=alice.session)
    assert again.session != alice.session
    assert again.view == {"alice": ("alice", None)}
    await again.close()


@pytest_twisted.ensureDeferred
async def test_what_begins_while_a_node_goes_down_does_not_end_with_it(patient_nodes: Nodes) -> None:
    nodes = patient_nodes
    home = nodes.home_of("room/app/room")
    first, second = [server for server in nodes.servers if server is not home]
    down = Deferred.fromCoroutine(home.stop())
    while not nodes.retired():
        assert home.running
        await sleep(0.1)
    # It is there as long as the notice lasts, and its own people meet elsewhere.
    alice = await connect_member(reactor, port(first), "alice")
    bob = await connect_member(reactor, port(home), "bob")
    carol = await connect_member(reactor, port(second), "carol")
    await down
    bob.abort()
    await alice.publish("s1")
    await carol.expect("stream")
    await carol.request("broadcast", {"text": "hi"})
    assert (await alice.expect("broadcast"))["data"]["payload"] == {"text": "hi"}
    for client in (alice, carol):
        await client.close()
    for server in (first, second):
        server.kill()


@pytest_twisted.ensureDeferred
async def test_a_node_that_stood_still(nodes: Nodes) -> None:
    """The others take it for lost; when it goes on it takes part again, and has missed nothing."""
    one, two, three = nodes.servers
    alice, bob = await line(one, "alice"), await line(two, "bob")
    watcher = await line(three, "carol")
    await watcher.send_text("bob", "hello")
    await told(bob, "hello")
    os.kill(two.pid, signal.SIGSTOP)
    try:
        await state(watcher, "bob", "offline")
        sent = await alice.send_text("bob", "while you were away")
        assert sent["payload"]["status"] == 200
    finally:
        os.kill(two.pid, signal.SIGCONT)
    await told(bob, "while you were away")
    await state(watcher, "bob", "online")
    await alice.send_text("bob", "and now")
    await told(bob, "and now")
    assert "it joins again" in two.output()
    for client in (alice, bob, watcher):
        await client.close()
    for server in nodes.servers:
        await server.stop()
