"""permessage-deflate (RFC 7692) where it is configured, with a client that does it by hand."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from tests.clients.protobuf_client import decode_envelope, encode, encode_envelope
from tests.clients.websocket_client import BINARY, TEXT, Frame, WebSocketClient, connect_tcp
from tests.e2e.conftest import Serve
from tests.e2e.server import Server

OFFER = "permessage-deflate; client_max_window_bits"
TAIL = b"\x00\x00\xff\xff"


class Deflating(WebSocketClient):
    """Inflates what comes compressed, each message by itself, and counts it."""

    def __init__(self, path: str, offer: str = OFFER) -> None:
        super().__init__(path, headers=[("Sec-WebSocket-Extensions", offer)])
        self.inflated: list[tuple[int, int]] = []  # (bytes on the wire, bytes inflated)

    def _frame_received(self, frame: Frame) -> None:
        if frame.rsv == 4 and frame.opcode in (TEXT, BINARY):
            payload = zlib.decompressobj(-12).decompress(frame.payload + TAIL)
            self.inflated.append((len(frame.payload), len(payload)))
            frame = Frame(frame.fin, 0, frame.opcode, payload)
        super()._frame_received(frame)

    def send_deflated(self, opcode: int, payload: bytes, window: int = 12) -> None:
        """One compressed message."""
        packer = zlib.compressobj(9, zlib.DEFLATED, -window)
        packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
        self.send_frame(opcode, packed.removesuffix(TAIL), rsv=4)

    async def message(self, kind: str) -> Any:
        """The next JSON message but for presence, which must be of this type."""
        message: dict[str, Any] = {"type": "presence"}
        while message["type"] == "presence":
            opcode, payload = await self.next_message()
            message = json.loads(payload)
        assert (opcode, message["type"]) == (TEXT, kind), message
        return message["payload"]


async def configured(serve: Serve, **options: Any) -> Server:
    """A server with compression."""
    listener = (
        '{format="http",endpoint="tcp:0:interface=127.0.0.1",compression=true,'
        'paths={"/ws"="signalling","/meeting"="meeting","/im"="protobuf"}}'
    )
    return await serve(listeners=[f"listener=[{listener}]"], **options).start()


async def signalling(server: Server, user: str, offer: str = OFFER) -> Deflating:
    """Logged in with document 002."""
    client = Deflating(f"/ws?token=demo_token_{user}", offer)
    await connect_tcp(reactor, server.port("/ws"), client)
    await client.message("connect")
    return client


def send(text: str) -> bytes:
    """message.send to bob."""
    message = {"type": "message.send", "payload": {"to_user": "bob", "content": text}}
    return json.dumps(message, ensure_ascii=False).encode()


@pytest_twisted.ensureDeferred
async def test_messages_are_compressed_both_ways(serve: Serve) -> None:
    server = await configured(serve)
    alice, bob = await signalling(server, "alice"), await signalling(server, "bob")
    answer = alice.response_headers["sec-websocket-extensions"]
    assert answer.startswith("permessage-deflate")
    assert "client_max_window_bits=12" in answer
    for text in ("short", "你好 😀 " * 2_000, "x" * 60_000):
        alice.send_deflated(TEXT, send(text))
        await alice.message("message.sent")
        new = await bob.message("message.new")
        assert new["content"] == text
    # Only what is worth it.
    (first, second) = bob.inflated[-2:]
    assert first[1] > 10 * first[0]
    assert second[1] > 10 * second[0]
    assert not [size for _, size in bob.inflated if size < 200]
    # A client need not compress what it says.
    alice.send_text(send("plain").decode())
    await alice.message("message.sent")
    assert (await bob.message("message.new"))["content"] == "plain"
    # Binary formats, too.
    carol = Deflating("/im")
    await connect_tcp(reactor, server.port("/im"), carol)
    body = encode("AUTH_REQ", user_id="carol", token="demo_token_carol")
    carol.send_deflated(BINARY, encode_envelope(100, 1, body, 1))
    _, payload = await carol.next_message()
    assert decode_envelope(payload)[0] == 101
    for client in (alice, bob, carol):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_in_rooms_answers_are_compressed_and_events_are_not(serve: Serve) -> None:
    server = await configured(serve)
    people: list[tuple[Deflating, str]] = []

    async def ask(client: Deflating, session: str, method: str, data: Any) -> Any:
        message = {"method": method, "session": session, "data": data}
        client.send_deflated(TEXT, json.dumps(message).encode())
        while "err" not in message:
            message = json.loads((await client.next_message())[1])
        return message

    for user in ("alice", "bob"):
        client = Deflating(f"/meeting?token=demo_token_{user}")
        await connect_tcp(reactor, server.port("/meeting"), client)
        data = {"app": "app", "channel": "room", "endpoint": user, "device": "d" * 200}
        joined = await ask(client, "", "channel.join", data)
        people.append((client, joined["data"]["session"]))
    (alice, key), (bob, other) = people
    dump = await ask(alice, key, "channel.dump", {})
    assert [one["endpoint"] for one in dump["data"]["endpoint_list"]] == ["alice", "bob"]
    compressed = len(alice.inflated)
    assert compressed
    assert (await ask(bob, other, "broadcast", {"x": "x" * 60_000}))["err"] == 0
    event = json.loads((await alice.next_message())[1])
    assert (event["session"], event["data"]["payload"]) == (key, {"x": "x" * 60_000})
    assert len(alice.inflated) == compressed
    for client in (alice, bob):
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("window", [9, 12])
async def test_a_clients_smaller_window_is_kept(serve: Serve, window: int) -> None:
    server = await configured(serve)
    offer = f"permessage-deflate; server_max_window_bits={window}; client_max_window_bits"
    bob = await signalling(server, "bob", offer)
    assert f"server_max_window_bits={window}" in bob.response_headers["sec-websocket-extensions"]
    bob.send_deflated(TEXT, send("abc " * 5_000))
    await bob.message("message.sent")
    bob.send_deflated(TEXT, b'{"type":"message.history"}')
    history = await bob.message("message.history")
    assert history["messages"][0]["content"] == "abc " * 5_000
    await bob.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_offers_that_need_more_memory_are_not_taken_up(serve: Serve) -> None:
    server = await configured(serve)
    for offer in ("permessage-deflate", "x-webkit-deflate-frame", "permessage-bzip2"):
        client = await signalling(server, "bob", offer)
        assert "sec-websocket-extensions" not in client.response_headers
        await client.close()
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_bombs_and_garbage_end_the_connection(serve: Serve) -> None:
    server = await configured(serve)
    before = server.rss()
    for payload, code in ((b"x" * 50_000_000, 1009), (send("x" * 262_144), 1009)):
        client = await signalling(server, "bob")
        client.send_deflated(TEXT, payload)
        assert (await client.closed).code == code
    client = await signalling(server, "bob")
    client.send_frame(TEXT, b"\xff" * 100, rsv=4)
    assert (await client.closed).code == 1007
    # It is inflated no further than a message may be long.
    assert server.rss() - before < 30_000_000
    await server.stop()
