"""What the kernel still holds for a peer, and the watch for the moment it holds nothing."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


def kernel_backlog(transport: Any) -> int | None:
    """Bytes in the socket's send queue that the peer's kernel has not confirmed.

    None where there is no socket to ask (memory transports, a lost connection).
    Behind a terminating proxy it says how far the proxy is.
    """
    # A TLS transport wraps the one that has the socket.
    for _ in range(4):
        socket = getattr(transport, "socket", None)
        if socket is not None:
            try:
                answer = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
            except (OSError, ValueError):
                return None
            return int(struct.unpack("i", answer)[0])
        transport = getattr(transport, "transport", None)
    return None


class Awaiting(Protocol):
    """Who waits until the peer's kernel has everything."""

    def kernel_drained(self) -> bool | None:
        """Asks the kernel; True: it has, and who waits was told. None: nothing to wait for."""


class DrainWatch:
    """Asks for all that wait, by one delayed call, which runs only while somebody waits."""

    __slots__ = ("_call", "_clock", "_interval", "_waiting")

    def __init__(self, clock: IReactorTime, interval: float = 0.05) -> None:
        """Args:
        interval: seconds between two questions.
        """
        self._clock = clock
        self._interval = interval
        self._waiting: dict[Awaiting, None] = {}
        self._call: IDelayedCall | None = None

    def add(self, awaiting: Awaiting) -> None:
        """Asks for it until its answer is not False. Adding it again changes nothing."""
        self._waiting[awaiting] = None
        if self._call is None:
            self._call = self._clock.callLater(self._interval, self._ask)

    def _ask(self) -> None:
        self._call = None
        for awaiting in list(self._waiting):
            if awaiting.kernel_drained() is not False:
                del self._waiting[awaiting]
        if self._waiting and self._call is None:
            self._call = self._clock.callLater(self._interval, self._ask)
