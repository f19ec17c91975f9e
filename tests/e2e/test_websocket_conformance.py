"""RFC 6455, frame by frame, against a listening site (the raw-frame client knows nothing of imserver)."""

from __future__ import annotations

import os
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ParamSpec

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientCreator, Protocol, connectionDone
from twisted.python.failure import Failure

from imserver.http.rules import loopback_rule, origin_rule
from imserver.http.site import ImSite
from imserver.protocols.connections import DoorLimits
from imserver.protocols.doors import Doors
from imserver.protocols.websocket import WebSocketFactory
from tests.clients.websocket_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Closed,
    Frame,
    FrameReader,
    HandshakeRefused,
    WebSocketClient,
    close_payload,
    connect_tcp,
    encode_frame,
)
from tests.unit.protocols.stub import StubCodec, StubHub

P = ParamSpec("P")


def waits(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, Any]:
    """A test that is a coroutine (pytest_twisted has no types)."""
    result: Callable[P, Any] = pytest_twisted.ensureDeferred(test)
    return result


def fixture(function: Callable[[], AsyncIterator[Bench]]) -> Any:
    """A fixture that is an asynchronous generator."""
    return pytest_twisted.async_yield_fixture()(function)


LIMIT = 1000
"""The largest message of the stub format."""

FIXED = b"\1\2\3\4"
"""A mask key that is the same in every run."""


class Bench:
    """A site on a free port, with a binary format at /ws and a text one at /text."""

    def __init__(self) -> None:
        self.hub = StubHub()
        limits = DoorLimits(commands_per_second=1e9, command_burst=1e9)
        self.doors = Doors(self.hub, reactor, limits)
        self.site: Any = ImSite(
            self.doors,
            {
                "/ws": WebSocketFactory(self.doors, StubCodec, True),
                "/text": WebSocketFactory(self.doors, StubCodec, False),
            },
            [origin_rule(["https://friend.example"])],
        )
        listen: Any = reactor.listenTCP
        self.listening = listen(0, self.site, interface="127.0.0.1")
        self.port: int = self.listening.getHost().port
        self.clients: list[WebSocketClient] = []

    async def open(self, path: str = "/ws", **options: Any) -> WebSocketClient:
        """A client after its handshake."""
        client = WebSocketClient(path, f"127.0.0.1:{self.port}", **options)
        self.clients.append(client)
        return await connect_tcp(reactor, self.port, client)

    async def raw(self, data: bytes) -> bytes:
        """Sends bytes, returns everything that comes until the server closes."""
        protocol: RawClient = await ClientCreator(reactor, RawClient).connectTCP("127.0.0.1", self.port)
        protocol.transport.write(data)  # type: ignore[union-attr]
        return await protocol.ended

    async def close(self) -> None:
        """Takes everything down."""
        await self.doors.shut_down()
        await self.listening.stopListening()


class RawClient(Protocol):
    """Collects bytes until the connection ends."""

    def __init__(self) -> None:
        self.data = b""
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(self.data)


@fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()


def pings(count: int) -> bytes:
    """Requests of the stub format, each a masked frame."""
    return b"".join(encode_frame(BINARY, b"ping#%d" % n, mask=FIXED) for n in range(count))


async def take(client: WebSocketClient, count: int) -> list[bytes]:
    """The next messages."""
    return [(await client.next_message())[1] for _ in range(count)]


def ended_with(closed: Closed, code: int) -> None:
    """The server said why, in a close frame, and closed without a reset."""
    assert (closed.code, closed.clean) == (code, True)


# Messages


@waits
async def test_messages_of_every_length_form(bench: Bench) -> None:
    client = await bench.open()
    for size in (7, 125, 126, 127, 500, LIMIT):
        client.send_binary(b"hello#1".ljust(size, b" "))
        assert await client.next_message() == (BINARY, b"hello#1 ok")


@waits
async def test_glued_frames_are_answered_in_order(bench: Bench) -> None:
    client = await bench.open()
    client.send_raw(pings(100))
    assert await take(client, 100) == [b"ping#%d ok" % n for n in range(100)]


@waits
async def test_every_split_point(bench: Bench) -> None:
    client = await bench.open()
    stream = (
        encode_frame(BINARY, b"ping#1", mask=FIXED)
        + encode_frame(BINARY, b"hello#2".ljust(200), mask=FIXED)
        + encode_frame(PING, b"?", mask=FIXED)
        + encode_frame(BINARY, b"pi", mask=FIXED, fin=False)
        + encode_frame(CONTINUATION, b"ng#3", mask=FIXED)
    )
    protocol = next(iter(bench.doors._links))._protocol
    for cut in range(1, len(stream)):
        # Fed below the socket, so that the cut is where it should be.
        protocol.dataReceived(stream[:cut])  # type: ignore[attr-defined]
        protocol.dataReceived(stream[cut:])  # type: ignore[attr-defined]
        assert await take(client, 3) == [b"ping#1 ok", b"hello#2 ok", b"ping#3 ok"], cut
    assert client.pongs == [b"?"] * (len(stream) - 1)


@waits
async def test_byte_by_byte(bench: Bench) -> None:
    client = await bench.open()
    protocol = next(iter(bench.doors._links))._protocol
    for byte in pings(3):
        protocol.dataReceived(bytes((byte,)))  # type: ignore[attr-defined]
    assert await take(client, 3) == [b"ping#0 ok", b"ping#1 ok", b"ping#2 ok"]


@waits
async def test_frames_sent_with_the_handshake_are_not_lost(bench: Bench) -> None:
    class Hasty(WebSocketClient):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.send_raw(pings(2))

    client = await connect_tcp(reactor, bench.port, Hasty("/ws", f"127.0.0.1:{bench.port}"))
    assert await take(client, 2) == [b"ping#0 ok", b"ping#1 ok"]


@waits
async def test_fragments_with_control_frames_between_them(bench: Bench) -> None:
    client = await bench.open()
    client.send_frame(BINARY, b"he", fin=False)
    client.send_frame(PING, b"one")
    client.send_frame(CONTINUATION, b"", fin=False)
    client.send_frame(PONG, b"unasked")
    client.send_frame(CONTINUATION, b"llo", fin=False)
    client.send_frame(PING, b"x" * 125)
    client.send_frame(CONTINUATION, b"#1")
    assert await client.next_message() == (BINARY, b"hello#1 ok")
    assert client.pongs == [b"one", b"x" * 125]


@waits
async def test_pongs_and_messages_keep_their_order(bench: Bench) -> None:
    seen: list[Any] = []

    class Recorder(WebSocketClient):
        def _frame_received(self, frame: Frame) -> None:
            seen.append((frame.opcode, frame.payload))
            super()._frame_received(frame)

    client = await connect_tcp(reactor, bench.port, Recorder("/ws", f"127.0.0.1:{bench.port}"))
    client.send_raw(
        encode_frame(BINARY, b"ping#1")
        + encode_frame(PING, b"a")
        + encode_frame(BINARY, b"ping#2")
        + encode_frame(PING, b"b")
        + encode_frame(BINARY, b"ping#3")
    )
    await take(client, 3)
    assert seen == [
        (BINARY, b"ping#1 ok"),
        (PONG, b"a"),
        (BINARY, b"ping#2 ok"),
        (PONG, b"b"),
        (BINARY, b"ping#3 ok"),
    ]


@waits
async def test_a_text_format_writes_text(bench: Bench) -> None:
    client = await bench.open("/text")
    client.send_text("hello#1 grüße")
    assert await client.next_message() == (TEXT, b"hello#1 ok")


@waits
async def test_a_character_may_be_split_over_fragments(bench: Bench) -> None:
    client = await bench.open("/text")
    euro = "hello#1 €".encode()
    client.send_frame(TEXT, euro[:-2], fin=False)
    client.send_frame(CONTINUATION, euro[-2:])
    assert await client.next_message() == (TEXT, b"hello#1 ok")


# Violations, each answered by a close frame with its code


VIOLATIONS = {
    "unmasked": (encode_frame(BINARY, b"ping#1", mask=None), 1002),
    "rsv1": (encode_frame(BINARY, b"ping#1", rsv=4), 1002),
    "rsv2": (encode_frame(BINARY, b"ping#1", rsv=2), 1002),
    "rsv3": (encode_frame(BINARY, b"ping#1", rsv=1), 1002),
    "rsv1 on a ping": (encode_frame(PING, b"", rsv=4), 1002),
    **{f"opcode {code}": (encode_frame(code, b"x"), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "fragmented ping": (encode_frame(PING, b"x", fin=False), 1002),
    "fragmented close": (encode_frame(CLOSE, close_payload(1000), fin=False), 1002),
    "long ping": (encode_frame(PING, b"x" * 126), 1002),
    "continuation of nothing": (encode_frame(CONTINUATION, b"x"), 1002),
    "message inside a message": (encode_frame(BINARY, b"x", fin=False) + encode_frame(BINARY, b"x"), 1002),
    "length not minimal, 16 bits": (encode_frame(BINARY, b"x", length_bytes=2), 1002),
    "length not minimal, 64 bits": (encode_frame(BINARY, b"x" * 200, length_bytes=8), 1002),
    "close with one byte": (encode_frame(CLOSE, b"\3"), 1002),
    **{
        f"close code {code}": (encode_frame(CLOSE, close_payload(code)), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
    "close reason not UTF-8": (encode_frame(CLOSE, close_payload(1000) + b"\xff"), 1007),
    "text on a binary format": (encode_frame(TEXT, b"ping#1"), 1003),
    "undecodable envelope": (encode_frame(BINARY, b"\xff"), 1007),
    "one byte too large": (encode_frame(BINARY, b"x" * (LIMIT + 1)), 1009),
    "fragments too large": (
        encode_frame(BINARY, b"x" * LIMIT, fin=False) + encode_frame(CONTINUATION, b"x"),
        1009,
    ),
    "announced size of a gigabyte": (b"\x82\xff" + (1 << 30).to_bytes(8, "big") + FIXED + b"x" * 10, 1009),
    "size beyond 2^63": (b"\x82\xff" + b"\xff" * 8 + FIXED, 1002),
}


@pytest.mark.parametrize("name", VIOLATIONS)
@waits
async def test_violations(bench: Bench, name: str) -> None:
    data, code = VIOLATIONS[name]
    client = await bench.open()
    client.send_raw(encode_frame(BINARY, b"ping#1") + data)
    assert await client.next_message() == (BINARY, b"ping#1 ok")
    ended_with(await client.closed, code)


@pytest.mark.parametrize("name", VIOLATIONS)
@waits
async def test_violations_followed_by_more(bench: Bench, name: str) -> None:
    data, code = VIOLATIONS[name]
    client = await bench.open()
    client.send_raw(data + pings(50) + data)
    ended_with(await client.closed, code)
    assert bench.hub.done == []


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok \xe2\x82", b"\x80"]
)
@waits
async def test_text_that_is_not_utf8(bench: Bench, text: bytes) -> None:
    client = await bench.open("/text")
    client.send_frame(TEXT, text)
    ended_with(await client.closed, 1007)


@waits
async def test_text_is_looked_at_before_it_is_complete(bench: Bench) -> None:
    client = await bench.open("/text")
    client.send_frame(TEXT, b"good", fin=False)
    client.send_frame(CONTINUATION, b"\xff", fin=False)
    ended_with(await client.closed, 1007)


@waits
async def test_binary_on_a_text_format(bench: Bench) -> None:
    client = await bench.open("/text")
    client.send_binary(b"ping#1")
    ended_with(await client.closed, 1003)


@waits
async def test_garbage_never_hurts_the_neighbours(bench: Bench) -> None:
    neighbour = await bench.open()
    for seed in range(30):
        client = await bench.open()
        client.send_raw(zlib.compress(os.urandom(300) + bytes((seed,))) * 3)
        client.close()
        await client.closed
    neighbour.send_binary(b"ping#1")
    assert await neighbour.next_message() == (BINARY, b"ping#1 ok")


# Closing


@waits
async def test_a_close_is_answered_after_what_was_asked_before_it(bench: Bench) -> None:
    client = await bench.open()
    client.send_raw(pings(3))
    closing = client.close(1000, "done")
    assert await take(client, 3) == [b"ping#0 ok", b"ping#1 ok", b"ping#2 ok"]
    ended_with(await closing, 1000)


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1012, 3000, 3999, 4000, 4999])
@waits
async def test_every_legal_close_code_is_answered(bench: Bench, code: int) -> None:
    client = await bench.open()
    ended_with(await client.close(code), 1000)


@waits
async def test_a_close_without_a_code(bench: Bench) -> None:
    client = await bench.open()
    client.send_frame(CLOSE)
    ended_with(await client.closed, 1000)


@waits
async def test_nothing_is_done_after_a_close(bench: Bench) -> None:
    client = await bench.open()
    client.send_raw(encode_frame(CLOSE, close_payload(1000)) + pings(5))
    ended_with(await client.closed, 1000)
    assert bench.hub.done == []


@waits
async def test_a_lost_connection_ends_its_session(bench: Bench) -> None:
    client = await bench.open()
    client.send_binary(b"login#1 alice")
    await client.next_message()
    client.abort()
    await client.closed
    other = await bench.open()
    other.send_binary(b"ping#1")
    await other.next_message()
    assert bench.hub.attachments[0].told == ["start", "close"]
    assert bench.doors.counter.total == 1


@waits
async def test_shutting_down_sends_the_goodbye_before_the_close_frame(bench: Bench) -> None:
    client = await bench.open()
    client.send_binary(b"login#1 alice")
    await client.next_message()
    await bench.doors.shut_down()
    assert await client.next_message() == (BINARY, b"kicked SHUTDOWN")
    ended_with(await client.closed, 1001)


# Compression


@waits
async def test_an_offer_of_compression_is_not_taken_up(bench: Bench) -> None:
    offer = "permessage-deflate; client_max_window_bits"
    client = await bench.open(headers=[("Sec-WebSocket-Extensions", offer)])
    assert "sec-websocket-extensions" not in client.response_headers
    client.send_binary(b"ping#1")
    assert await client.next_message() == (BINARY, b"ping#1 ok")


@waits
async def test_a_compression_bomb_is_a_violation(bench: Bench) -> None:
    client = await bench.open(headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(10_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)
    client.send_frame(BINARY, bomb, rsv=4)
    ended_with(await client.closed, 1002)


# The handshake


def upgrade(path: str = "/ws", **headers: str) -> bytes:
    """An upgrade request; a header "" is left out."""
    fields = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


BAD_HANDSHAKES = {
    "no key": (upgrade(Sec_WebSocket_Key=""), 400),
    "short key": (upgrade(Sec_WebSocket_Key="c2hvcnQ="), 400),
    "key that is no base64": (upgrade(Sec_WebSocket_Key="!!hlIHNhbXBsZSBub25jZQ=="), 400),
    "no version": (upgrade(Sec_WebSocket_Version=""), 400),
    "old version": (upgrade(Sec_WebSocket_Version="8"), 400),
    "no connection header": (upgrade(Connection=""), 400),
    "wrong connection header": (upgrade(Connection="keep-alive, close"), 400),
    "foreign origin": (upgrade(Origin="https://evil.example"), 403),
    "null origin": (upgrade(Origin="null"), 403),
    "origin of another port": (upgrade(Origin="http://127.0.0.1:1"), 403),
    "bad origin": (upgrade(Origin="http://[::1"), 403),
}


@pytest.mark.parametrize("name", BAD_HANDSHAKES)
@waits
async def test_bad_handshakes(bench: Bench, name: str) -> None:
    request, status = BAD_HANDSHAKES[name]
    answer = await bench.raw(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert b'"success":false' in answer
    assert bench.hub._ids == 0


@waits
async def test_the_sample_of_the_rfc(bench: Bench) -> None:
    answer = await bench.raw(upgrade() + encode_frame(CLOSE, close_payload(1000)))
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head.split(b"\r\n")
    assert [frame.opcode for frame in FrameReader().feed(rest)] == [CLOSE]


@pytest.mark.parametrize(
    "origin", ["", "http://127.0.0.1:{port}", "https://friend.example", "HTTPS://FRIEND.example:443"]
)
@waits
async def test_good_origins(bench: Bench, origin: str) -> None:
    headers = [("Origin", origin.format(port=bench.port))] if origin else []
    client = await bench.open(headers=headers)
    client.send_binary(b"ping#1")
    assert await client.next_message() == (BINARY, b"ping#1 ok")


@waits
async def test_no_subprotocol_is_selected(bench: Bench) -> None:
    client = await bench.open(subprotocols=["chat", "superchat"])
    assert "sec-websocket-protocol" not in client.response_headers


@waits
async def test_unknown_paths_and_plain_requests(bench: Bench) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        await bench.open("/nothing")
    assert refused.value.status == 404
    answer = await bench.raw(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"upgrade: websocket" in answer.lower()
    answer = await bench.raw(b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")


@waits
async def test_http_that_is_too_large(bench: Bench) -> None:
    answer = await bench.raw(b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    head = b"POST /ws HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await bench.raw(head + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 3)
    assert answer.startswith(b"HTTP/1.1 413 ") or answer == b""  # reset while it was still sending
    answer = await bench.raw(b"GET /ws HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""


@waits
async def test_a_demonstration_serves_the_loopback_only() -> None:
    bench = Bench()
    bench.site.resource._rules = [loopback_rule]
    try:
        for request in (upgrade(Host="chat.example.org"), upgrade(X_Forwarded_For="127.0.0.1")):
            answer = await bench.raw(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert answer.startswith(b"HTTP/1.1 403 ")
        client = await bench.open()
        client.close()
        await client.closed
    finally:
        await bench.close()
