"""A file channel of document 004's dialect chat-app, written out by hand: a line of JSON, then frames.

Knows nothing of imserver.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

DATA, END, FAILED = 1, 2, 3


def frame(kind: int, payload: bytes = b"") -> bytes:
    """u8 type, u32 little-endian length, payload."""
    return struct.pack("<BI", kind, len(payload)) + payload


def first_line(session: str, role: str, user: str) -> bytes:
    """How a channel begins."""
    return json.dumps({"session_id": session, "role": role, "user_id": user}).encode() + b"\n"


class RelayChannel(Protocol):
    """One end.

    Attributes:
        frames: what came, as (type, payload).
        size: bytes of DATA so far.
        ended: fires when the connection is gone.
        close_at_end: it closes after END or FAILED, as the deployed client does.
        keep: DATA is kept in `frames`.
    """

    transport: ITCPTransport

    def __init__(self, *, close_at_end: bool = True, keep: bool = True) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.size = 0
        self.close_at_end = close_at_end
        self.keep = keep
        self.ended: Deferred[None] = Deferred()
        self._rest = bytearray()
        self._waiting: list[Deferred[None]] = []

    def send(self, *pieces: bytes) -> None:
        """Bytes as they are."""
        self.transport.write(b"".join(pieces))

    def data(self) -> bytes:
        """All of the file that came."""
        return b"".join(payload for kind, payload in self.frames if kind == DATA)

    def last(self) -> Deferred[None]:
        """Fires once END or FAILED is here."""
        done: Deferred[None] = Deferred()
        if any(kind != DATA for kind, _ in self.frames):
            done.callback(None)
        else:
            self._waiting.append(done)
        return done

    def dataReceived(self, data: bytes) -> None:
        """Cuts frames."""
        self._rest += data
        while len(self._rest) >= 5:
            kind, length = struct.unpack("<BI", self._rest[:5])
            if len(self._rest) < 5 + length:
                return
            payload = bytes(self._rest[5 : 5 + length])
            del self._rest[: 5 + length]
            if kind == DATA:
                self.size += length
            if kind != DATA or self.keep:
                self.frames.append((kind, payload))
            if kind != DATA:
                self._whole()

    def _whole(self) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)
        if self.close_at_end:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end."""
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.errback(reason)
        self.ended.callback(None)


async def open_channel(reactor: Any, accepted: dict[str, Any], role: str, user: str, **options: Any) -> Any:
    """Connects where a file/accept says, and says the first line."""
    endpoint = TCP4ClientEndpoint(reactor, accepted["channel_host"], accepted["channel_port"], 10)
    channel = await connectProtocol(endpoint, RelayChannel(**options))
    channel.send(first_line(accepted["session_id"], role, user))
    return channel
