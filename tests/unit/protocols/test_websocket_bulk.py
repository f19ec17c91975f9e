"""Frames taken in bulk and frames read by Autobahn alone come to the same, however a stream is cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols import websocket
from imserver.protocols.connections import DoorLimits
from imserver.protocols.doors import Doors
from imserver.protocols.websocket import WebSocketFactory
from imserver.wire.base import Request, Traits
from tests.unit.protocols.stub import StubCodec, StubHub

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
LIMIT = 300
"""Bytes of the longest message: more than one length byte says, less than two."""


class Witness(StubCodec):
    """Notes what came; `fatal` in front of a message ends the connection."""

    def __init__(self, traits: Traits) -> None:
        super().__init__(traits)
        self.heard: list[bytes] = []

    def decode(self, frame: bytes) -> Request:
        self.heard.append(frame)
        return super().decode(frame)


def frame(first: int, payload: bytes, key: bytes | None, long: bool = False) -> bytes:
    """A client's frame; `key`: None = not masked; `long`: more bytes than needed say how long it is."""
    mask = 0x80 if key is not None else 0
    count = len(payload)
    if count < 126 and not long:
        head = bytes((first, mask | count))
    elif count < 0x10000:
        head = bytes((first, mask | 126)) + count.to_bytes(2, "big")
    else:
        head = bytes((first, mask | 127)) + count.to_bytes(8, "big")
    if key is None:
        return head + payload
    return head + key + bytes(byte ^ key[number % 4] for number, byte in enumerate(payload))


KEYS = st.binary(min_size=4, max_size=4)
TEXTS = st.one_of(
    st.sampled_from([b"ping#1", b"login#2 alice", b"\xff", b"groups#3", b"crash", b"", "grüße 😀".encode()]),
    st.binary(max_size=6),
    st.integers(120, LIMIT + 3).map(lambda count: b"a" * count),
    st.just(b"a" * 70_000),
)
CODES = st.one_of(
    st.just(b""), st.just(b"\x03"), st.integers(990, 5010).map(lambda code: code.to_bytes(2, "big"))
)
USUAL = st.builds(frame, st.sampled_from([0x81, 0x82]), TEXTS, KEYS)
CONTROL = st.builds(frame, st.sampled_from([0x89, 0x8A]), st.binary(max_size=130), KEYS)
CLOSE = st.builds(lambda code, text, key: frame(0x88, code + text, key), CODES, st.binary(max_size=3), KEYS)
PIECES = st.builds(
    lambda kind, pieces, key: b"".join(
        frame((0 if number else kind) | (0x80 if number == len(pieces) - 1 else 0), piece, key)
        for number, piece in enumerate(pieces)
    ),
    st.sampled_from([1, 2]), st.lists(st.binary(max_size=150), min_size=2, max_size=3), KEYS,
)  # fmt: skip
ODD = st.one_of(
    st.builds(frame, st.integers(0, 255), TEXTS, st.one_of(st.none(), KEYS), st.booleans()),
    st.binary(max_size=12),
)
STREAMS = st.lists(st.one_of(USUAL, USUAL, USUAL, CONTROL, PIECES, CLOSE, ODD), max_size=8).map(b"".join)


def told(stream: bytes, cuts: list[int], binary: bool, skips: bool) -> dict[str, Any]:
    """What becomes of a stream: what was heard, all bytes that were written, and how it ended."""
    clock = Clock()
    doors = Doors(StubHub(), clock, DoorLimits(commands_per_second=1e9, command_burst=1e9))
    codec = Witness(Traits(name="stub", max_frame=LIMIT, skips_oversize=skips))
    protocol = WebSocketFactory(doors, lambda: codec, binary).buildProtocol(
        IPv4Address("TCP", "127.0.0.1", 1)
    )
    assert protocol is not None
    transport = StringTransport()
    transport.registerProducer(mock.Mock(), True)  # the HTTP channel before it
    protocol.makeConnection(transport)
    protocol.dataReceived(HANDSHAKE)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        if start < end:
            protocol.dataReceived(stream[start:end])
        clock.advance(0)
    clock.advance(0)
    return {
        "heard": codec.heard,
        "written": transport.value(),
        "closed": transport.disconnecting,
        # Once it is closed nobody asks whether the peer's own close frame in the same read was looked at.
        "state": None if transport.disconnecting else protocol.state,
    }


def told_by_autobahn(stream: bytes, cuts: list[int], binary: bool, skips: bool) -> dict[str, Any]:
    """The same with nothing taken in bulk."""
    with mock.patch.object(websocket, "take_messages", lambda link, received, data, first_byte, limit: data):
        return told(stream, cuts, binary, skips)


class Bulk(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(STREAMS, st.lists(st.integers(0, 1 << 20), max_size=6), st.booleans(), st.booleans())
    def test_it_makes_no_difference(self, stream: bytes, cuts: list[int], binary: bool, skips: bool) -> None:
        bulk = told(stream, cuts, binary, skips)
        self.flushLoggedErrors()
        alone = told_by_autobahn(stream, cuts, binary, skips)
        self.flushLoggedErrors()
        self.assertEqual(bulk, alone)

    def test_a_close_frame_behind_the_end(self) -> None:
        """The end is the same, whether or not the close frame in the same read is still looked at."""
        stream = frame(0x81, b"crash", b"abcd") + frame(0x88, b"", b"abcd")
        bulk = told(stream, [], False, False)
        alone = told_by_autobahn(stream, [], False, False)
        self.flushLoggedErrors()
        self.assertTrue(bulk["closed"])
        self.assertEqual(bulk, alone)

    def test_the_usual_is_taken_in_bulk(self) -> None:
        stream = frame(0x81, b"ping#1", b"abcd") * 3
        with mock.patch.object(websocket.WebSocketProtocol, "onMessage") as autobahns:
            self.assertEqual(told(stream, [], False, False)["heard"], [b"ping#1"] * 3)
        self.assertEqual(autobahns.mock_calls, [])
