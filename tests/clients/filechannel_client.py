"""The file channel of document 004, written out by hand: frames over TCP.

Knows nothing of imserver. u8 type, u32 little-endian length, payload.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

DATA, ACK, HELLO, END, ERROR = 1, 2, 3, 4, 5


class ServerViolation(Exception):
    """The server broke the rules of the channel."""


def frame(kind: int, payload: bytes) -> bytes:
    """A frame."""
    return struct.pack("<BI", kind, len(payload)) + payload


def json_frame(kind: int, **fields: Any) -> bytes:
    """A frame with JSON in it."""
    return frame(kind, json.dumps(fields).encode())


def data_frame(offset: int, data: bytes) -> bytes:
    """A chunk."""
    return frame(DATA, struct.pack(">Q", offset) + data)


class FileChannelClient(Protocol):
    """One connection.

    Attributes:
        frames: what came and nobody took: (kind, object), chunks not among them.
        received: called with (offset, bytes) of each chunk that came.
        acked: the highest offset the server acknowledged.
        ended: fires when the connection is gone.
    """

    transport: Any

    def __init__(self, reactor: Any, received: Callable[[int, bytes], None] | None = None) -> None:
        self.reactor = reactor
        self.received = received
        self.frames: list[tuple[int, dict[str, Any]]] = []
        self.acked = 0
        self.ended: Deferred[None] = Deferred()
        self.lost = False
        self.timeout = 60.0
        self._rest = bytearray()
        self._waiting: list[tuple[tuple[int, ...], Deferred[tuple[int, dict[str, Any]]]]] = []
        self._producing: Any = None

    def expect(self, *kinds: int) -> Deferred[tuple[int, dict[str, Any]]]:
        """The next frame of one of these kinds."""
        waiter: Deferred[tuple[int, dict[str, Any]]] = Deferred()
        for index, (kind, fields) in enumerate(self.frames):
            if kind in kinds:
                del self.frames[index]
                waiter.callback((kind, fields))
                return waiter
        if self.lost:
            waiter.errback(Failure(ConnectionLost()))
            return waiter
        self._waiting.append((kinds, waiter))
        return waiter.addTimeout(self.timeout, self.reactor)

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.transport.write(data)

    async def hello(self, answer: dict[str, Any], offset: int = 0) -> int:
        """Opens the channel of a file/request's or file/accept's answer; the server's offset."""
        self.send_raw(
            json_frame(
                HELLO,
                transfer_id=answer["transfer_id"],
                token=answer["channel_token"],
                role=answer["role"],
                offset=offset,
            )
        )
        kind, fields = await self.expect(HELLO, ERROR)
        if kind == ERROR:
            raise AssertionError(fields)
        assert fields["transfer_id"] == answer["transfer_id"]
        return int(fields["offset"])

    def abort(self) -> None:
        """Drops the connection with a reset."""
        self.transport.abortConnection()

    def close(self) -> Deferred[None]:
        """Closes it in good order."""
        self.transport.loseConnection()
        return self.ended

    @inlineCallbacks
    def upload(self, read: Callable[[int, int], bytes], size: int, start: int, chunk: int) -> Any:
        """Sends everything from `start` on, as fast as the server takes it; ends early if it is cut."""
        room: Deferred[None] | None = None

        class Producer:
            def pauseProducing(self) -> None:
                nonlocal room
                if room is None:
                    room = Deferred()

            def resumeProducing(self) -> None:
                nonlocal room
                waiting, room = room, None
                if waiting is not None:
                    waiting.callback(None)

            stopProducing = resumeProducing

        self._producing = producer = Producer()
        self.transport.registerProducer(producer, True)
        at = start
        while at < size and not self.lost:
            data = read(at, min(chunk, size - at))
            self.send_raw(data_frame(at, data))
            at += len(data)
            if room is not None:
                yield room
        if not self.lost:
            self.transport.unregisterProducer()
        return at

    def dataReceived(self, data: bytes) -> None:
        """Cuts frames."""
        self._rest += data
        at = 0
        while len(self._rest) - at >= 5:
            kind, length = struct.unpack_from("<BI", self._rest, at)
            if length > 2**20 + 64 or kind not in (DATA, ACK, HELLO, END, ERROR):
                raise ServerViolation(f"a frame of type {kind}, {length} bytes")
            if len(self._rest) - at < 5 + length:
                break
            payload = bytes(self._rest[at + 5 : at + 5 + length])
            at += 5 + length
            self._frame(kind, payload)
        del self._rest[:at]

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == DATA:
            (offset,) = struct.unpack_from(">Q", payload)
            if self.received is not None:
                self.received(offset, payload[8:])
            return
        fields = json.loads(payload)
        if kind == ACK:
            if fields["offset"] < self.acked:
                raise ServerViolation("an acknowledgement went back")
            self.acked = fields["offset"]
        for index, (kinds, waiter) in enumerate(self._waiting):
            if kind in kinds and not waiter.called:
                del self._waiting[index]
                waiter.callback((kind, fields))
                return
        if kind != ACK:
            self.frames.append((kind, fields))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fails whatever still waits."""
        self.lost = True
        if self._producing is not None:
            self._producing.resumeProducing()
        waiting, self._waiting = self._waiting, []
        self.ended.callback(None)
        for _, waiter in waiting:
            if not waiter.called:
                waiter.errback(Failure(ConnectionLost()))


async def connect(
    reactor: Any,
    answer: dict[str, Any],
    received: Callable[[int, bytes], None] | None = None,
    endpoint: Any = None,
) -> FileChannelClient:
    """Connects to the endpoint of an answer, or to another one."""
    if endpoint is None:
        place = answer["endpoint"]
        endpoint = TCP4ClientEndpoint(reactor, place["host"], place["port"], timeout=10)
    client: FileChannelClient = await connectProtocol(endpoint, FileChannelClient(reactor, received))
    return client


class Content:
    """A file of any size that need not be kept: every block follows from its number and a seed."""

    BLOCK = 65536

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        self._seed = seed.to_bytes(8, "big")
        digest = hashlib.sha256()
        for start in range(0, size, self.BLOCK):
            digest.update(self.read(start, min(self.BLOCK, size - start)))
        self.sha256 = digest.hexdigest()

    def _block(self, number: int) -> bytes:
        unit = hashlib.sha512(self._seed + number.to_bytes(8, "big")).digest()
        return unit * (self.BLOCK // len(unit))

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file."""
        pieces = []
        end = min(offset + length, self.size)
        while offset < end:
            number, skip = divmod(offset, self.BLOCK)
            piece = self._block(number)[skip : skip + end - offset]
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)


class Check:
    """Takes a download and compares it with what was sent.

    Attributes:
        at: the next offset.
    """

    def __init__(self, content: Content) -> None:
        self.content = content
        self.at = 0

    def received(self, offset: int, data: bytes) -> None:
        """The next chunk."""
        if offset != self.at:
            raise ServerViolation(f"{offset} came after {self.at}")
        if data != self.content.read(offset, len(data)):
            raise ServerViolation(f"other bytes at {offset}")
        self.at += len(data)


__all__ = ["Check", "Content", "FileChannelClient", "connect", "data_frame", "frame", "json_frame"]
