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

from tests.clients import (
    chat_app_client,
    jsonline_client,
    meeting_client,
    protobuf_client,
    qdatastream_client,
    signalling_client,
)
from tests.clients.relay_channel import DATA, END, frame, open_channel
from tests.clients.websocket_client import WebSocketClient, connect_tcp
from tests.e2e import garbage_messages
from tests.e2e.conftest import Serve
from tests.e2e.garbage import FRAMES, LINES, REQUESTS
from tests.e2e.garbage_chat_app import CHANNELS, CHAT_LINES
from tests.e2e.garbage_rooms import ROOM_FRAMES
from tests.e2e.garbage_signals import BINARY_FRAMES, TEXT_FRAMES, UPGRADES
from tests.e2e.server import EVERY_FORMAT, FREE_PORTS, NO_RATES, Server, sleep
from tests.e2e.test_chat_app import user as chat_app_user
from tests.effort import effort, seeds

ROUNDS = effort(40, 50, 200)
STRETCHES = 8
AT_ONCE = 6
# Document 000 with and without a token, and document 002.
_FREE = 'endpoint="tcp:0:interface=127.0.0.1"'
NEW_DOORS = (
    f'listener=[{{format="qdatastream",{_FREE}}},{{format="qdatastream",auth="token",{_FREE}}},'
    f'{{format="http",paths={{"/ws"="signalling"}},{_FREE}}}]',
)
ROOM_DOOR = (
    f'listener=[{{format="http",paths={{"/meeting"="meeting"}},{_FREE}}}]',
    "rooms.grace_seconds=0.5",
)


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


async def spoil_messages(server: Server, chance: random.Random) -> None:
    """Garbage for document 000: framed or not, logged in or not, with and without tokens."""
    token = chance.random() < 0.3
    client = await raw(server.ports("qdatastream")[token])
    if chance.random() < 0.4:
        client.transport.write(chance.choice(garbage_messages.OPENINGS)(chance))
    else:
        framed = chance.random() < 0.5
        client.transport.write(garbage_messages.registration(framed, token))
        for _ in range(3):
            client.transport.write(garbage_messages.message(chance, framed))
            if chance.random() < 0.3:
                await sleep(0.005)
    await _leave(client, chance)


async def spoil_signals(server: Server, chance: random.Random) -> None:
    """Garbage messages for document 002, in JSON or in MessagePack."""
    binary = chance.random() < 0.5
    client = WebSocketClient("/ws?token=demo_token_carol", subprotocols=["msgpack"] if binary else [])
    await connect_tcp(reactor, server.port("/ws"), client)
    for _ in range(3):
        client.send_raw(chance.choice(BINARY_FRAMES if binary else TEXT_FRAMES)(chance))
    await sleep(0.01)
    client.abort()
    with contextlib.suppress(Exception):
        await client.closed


async def spoil_upgrades(server: Server, chance: random.Random) -> None:
    """Garbage instead of an upgrade with a token."""
    client = await raw(server.port("/ws"))
    client.transport.write(chance.choice(UPGRADES)(chance))
    await _leave(client, chance)


async def spoil_rooms(server: Server, chance: random.Random) -> None:
    """Garbage for document 003, in a room or not."""
    client = meeting_client.MeetingClient(path="/meeting?token=demo_token_carol")
    # What is answered to garbage is looked at elsewhere.
    client.message_received = lambda opcode, payload: None  # type: ignore[method-assign]
    await connect_tcp(reactor, server.port("/meeting"), client)
    if chance.random() < 0.5:
        client.request("channel.join", {"app": "app", "channel": chance.choice(["garbage", "x"])}).addErrback(
            lambda lost: None
        )
    for _ in range(3):
        client.send_raw(chance.choice(ROOM_FRAMES)(chance))
    await sleep(0.01)
    client.abort()
    with contextlib.suppress(Exception):
        await client.closed


async def spoil_chat_app(server: Server, chance: random.Random) -> None:
    """Garbage lines for the dialect chat-app, and garbage where its file channels are."""
    if chance.random() < 0.3:
        client = await raw(server.port("files"))
        client.transport.write(chance.choice(CHANNELS)(chance))
        await _leave(client, chance)
        return
    client = await raw(server.port("chat-app"))
    if chance.random() < 0.7:
        login = {"username": "carol", "password": chat_app_client.password_hash("carol")}
        client.transport.write(jsonline_client.encode("auth/login", login, id="1"))
        await sleep(0.02)
    for _ in range(3):
        client.transport.write(chance.choice(CHAT_LINES)(chance))
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


class First:
    """Well-behaved clients of documents 001 and 004."""

    async def log_in(self, server: Server) -> None:
        """Connects both."""
        self.alice = await protobuf_client.connect_user(reactor, server.port("/ws"), "alice")
        self.bob = await jsonline_client.connect_tcp(reactor, server.port("jsonline"))
        await self.bob.log_in("bob")

    async def converse(self, number: int) -> None:
        """One message each way."""
        alice, bob = self.alice, self.bob
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

    async def close(self) -> None:
        """Ends both."""
        await self.alice.close()
        await self.bob.close()


class Later:
    """Well-behaved clients of document 000, framed and not, and of document 002."""

    async def log_in(self, server: Server) -> None:
        """Connects all three."""
        port = server.port("qdatastream")
        self.alice = await qdatastream_client.connect_user(reactor, port, "alice")
        self.dave = await qdatastream_client.connect_user(reactor, port, "dave", framed=False, form="qstring")
        self.bob = await signalling_client.connect_user(reactor, server.port("/ws"), "bob")

    async def converse(self, number: int) -> None:
        """One message from each to the next."""
        alice, dave, bob = self.alice, self.dave, self.bob
        text = f"still here {number}"
        alice.send_text("dave", text)
        got = await dave.expect("text")
        assert (got["sender"], got["text"]) == ("alice", text)
        dave.send_text("bob", text)
        new = (await bob.expect("message.new"))["payload"]
        assert (new["from_user"], new["content"]) == ("dave", text)
        sent = await bob.send_text_message("alice", text)
        assert sent["type"] == "message.sent", sent
        got = await alice.expect("text")
        assert (got["sender"], got["text"]) == ("bob", text)
        for client in (alice, dave, bob):
            client.messages.clear()
        for old in (alice, dave):
            old.reads.clear()

    async def close(self) -> None:
        """Ends all three."""
        for client in (self.alice, self.dave, self.bob):
            await client.close()


class Meeting:
    """Well-behaved clients of document 003, one of whom moves from room to room."""

    async def log_in(self, server: Server) -> None:
        """Both join."""
        port = server.port("/meeting")
        self.alice = await meeting_client.connect_member(reactor, port, "alice", "garbage")
        self.bob = await meeting_client.connect_member(reactor, port, "bob", "garbage")

    async def converse(self, number: int) -> None:
        """A broadcast and a stream; the views are right."""
        alice, bob = self.alice, self.bob
        assert (await alice.request("broadcast", {"n": number}))["err"] == 0
        await bob.expect("broadcast", lambda data: data["payload"] == {"n": number})
        assert (await bob.publish(f"s{number}"))["err"] == 0
        await alice.expect("stream", lambda data: data["stream"] == f"s{number}")
        assert (await bob.request("stream.delete", {"stream_id": f"s{number}"}))["err"] == 0
        for client in (alice, bob):
            await client.dump()
            assert client.heard == client.view
            client.events.clear()
            client.all_events.clear()

    async def close(self) -> None:
        """Both leave."""
        await self.alice.close()
        await self.bob.close()


class ChatApp:
    """Well-behaved clients of the dialect chat-app."""

    async def log_in(self, server: Server) -> None:
        """Connects both."""
        self.alice, self.bob = [await chat_app_user(server, name) for name in ("alice", "bob")]
        await self.alice.ask("room/create", {"room_id": "quiet", "members": ["bob"]})

    async def converse(self, number: int) -> None:
        """A message, a call, and a file."""
        alice, bob = self.alice, self.bob
        text = f"still here {number}"
        await alice.ask("message/send", {"target": {"type": "user", "id": "bob"}, "content": text})
        await bob.next("message/event", sender_id="alice", content={"type": "text", "text": text})
        call = alice.new_id()
        kind, to = ("group", "quiet") if number % 2 else ("direct", "bob")
        await alice.ask("voice/call", {"call_type": kind, "target": to}, id=call)
        await bob.next("voice/event", event_type="incoming", call_id=call)
        await bob.ask("voice/answer", {"call_id": call})
        await alice.next("voice/event", event_type="connected", call_id=call)
        alice.send_event("voice/data", {"call_id": call, "data": "00"})
        await bob.next("voice/data", call_id=call)
        await bob.ask("voice/end", {"call_id": call})
        await alice.next("voice/event", event_type="ended", call_id=call)
        if not number % 10:
            await self.file()
        for client in (alice, bob):
            client.lines.clear()
            client.events.clear()

    async def file(self) -> None:
        """A file, which nobody may send all the time."""
        alice, bob = self.alice, self.bob
        offer = {"target": {"type": "user", "id": "bob"}, "file_name": "x", "file_size": 3}
        (session,) = (await alice.ask("file/request", offer))["sessions"]
        place = await bob.ask("file/accept", {"session_id": session["session_id"]})
        receiver = await open_channel(reactor, place, "receiver", "bob")
        sender = await open_channel(reactor, place, "sender", "alice")
        sender.send(frame(DATA, b"abc"), frame(END))
        await alice.next("file/complete", session_id=session["session_id"])
        for end in (sender, receiver):
            await end.ended

    async def close(self) -> None:
        """Ends both."""
        await self.alice.close()
        await self.bob.close()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize(
    ("spoil", "people", "listeners"),
    [
        (spoil_lines, First, FREE_PORTS),
        (spoil_frames, First, FREE_PORTS),
        (spoil_requests, First, FREE_PORTS),
        (spoil_messages, Later, NEW_DOORS),
        (spoil_signals, Later, NEW_DOORS),
        (spoil_upgrades, Later, NEW_DOORS),
        (spoil_rooms, Meeting, ROOM_DOOR),
        (spoil_chat_app, ChatApp, EVERY_FORMAT),
    ],
    ids=["lines", "frames", "requests", "messages", "signals", "upgrades", "rooms", "chat-app"],
)
async def test_garbage_hurts_nobody_else(
    serve: Serve, spoil: Any, people: Any, listeners: Any, seed: int
) -> None:
    print(f"{spoil.__name__}: IMSERVER_SEED={seed}")
    chance = random.Random(seed)
    # Log-ins with nonsense are limited per address; here all peers share one.
    limits = ["limits.failed_logins_per_address=1000000", "limits.failed_logins_per_account=1000000"]
    server = await serve(overrides=[*NO_RATES, *limits], listeners=listeners).start()
    others = people()
    await others.log_in(server)
    # Caches and the heap find their size within some stretches, the first one at least. A leak has no
    # such level: it shows in every stretch.
    stretches: list[list[int]] = []
    while len(stretches) < 2 or growth(stretches[-1]) >= 0.01:
        assert len(stretches) < STRETCHES, [[size // 1024 for size in sizes] for sizes in stretches]
        sizes = []
        for number in range(ROUNDS):
            for _ in range(AT_ONCE):
                await spoil(server, chance)
            await others.converse(number)
            sizes.append(server.rss())
        stretches.append(sizes)
        print(f"stretch {len(stretches)}: {growth(sizes):.2%} more")
    await others.close()
    await server.stop()
