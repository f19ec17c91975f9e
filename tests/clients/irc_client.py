"""A client of IRC (RFC 2812), written out by hand: lines, and waiting for some. Knows nothing of imserver."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

TIMEOUT = 20.0


class IrcClient(LineOnlyReceiver):
    """One connection.

    Attributes:
        lines: everything the server said.
        ended: fires when the connection is gone.
    """

    _clock: Any
    delimiter = b"\r\n"
    MAX_LENGTH = 510

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ended: Deferred[None] = Deferred()
        self.too_long = False
        self._waiting: list[tuple[str, Deferred[str]]] = []
        self._read = 0

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line.decode())
        for waiting in list(self._waiting):
            if waiting[0] in self.lines[-1]:
                self._waiting.remove(waiting)
                self._read = len(self.lines)
                waiting[1].callback(self.lines[-1])

    def lineLengthExceeded(self, line: bytes) -> None:
        self.too_long = True
        super().lineLengthExceeded(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)

    def say(self, line: str) -> None:
        """Sends a line."""
        self.sendLine(line.encode())

    def hears(self, part: str) -> Deferred[str]:
        """The first line, after the one last waited for, that has this in it."""
        for number in range(self._read, len(self.lines)):
            if part in self.lines[number]:
                self._read = number + 1
                found: Deferred[str] = Deferred()
                found.callback(self.lines[number])
                return found
        waiting: Deferred[str] = Deferred()
        self._waiting.append((part, waiting))
        return waiting.addTimeout(TIMEOUT, self._clock)

    async def close(self) -> None:
        """Hangs up."""
        assert self.transport is not None
        self.transport.loseConnection()
        await self.ended


async def connect(reactor: Any, port: int, nick: str, password: str) -> IrcClient:
    """Connects and logs in as irssi does, without waiting for the answer."""
    client: IrcClient = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), IrcClient())
    client._clock = reactor
    for line in ("CAP LS 302", "JOIN :", f"PASS {password}", f"NICK {nick}", f"USER {nick} {nick} host :Me"):
        client.say(line)
    return client
