"""What the kernel still holds for a peer, and the watch for the moment it holds nothing."""

from __future__ import annotations

import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IDelayedCall, IReactorTime

MEDIA_WAIT = 0.02
"""Seconds after a write to a paced peer, after which media no longer waits for its kernel."""
PATIENT_FROM = 100
"""After so many turns only every PATIENT_STEP-th is taken: peers that take nothing cost hardly more."""
PATIENT_STEP = 20
FAST_LOOKS = 25
"""After so many the kernel of a paced peer is asked less often."""


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
        self._waiting: dict[Awaiting, int] = {}  # how often it was its turn
        self._call: IDelayedCall | None = None

    def now(self) -> float:
        """Reactor seconds."""
        return self._clock.seconds()

    def add(self, awaiting: Awaiting) -> None:
        """Asks for it until its answer is not False, as often as at first where it is added again."""
        self._waiting[awaiting] = 0
        if self._call is None:
            self._call = self._clock.callLater(self._interval, self._ask)

    def _ask(self) -> None:
        self._call = None
        for awaiting, turns in list(self._waiting.items()):
            self._waiting[awaiting] = turns + 1
            if turns >= PATIENT_FROM and turns % PATIENT_STEP:
                continue
            if awaiting.kernel_drained() is not False:
                del self._waiting[awaiting]
        if self._waiting and self._call is None:
            self._call = self._clock.callLater(self._interval, self._ask)


def held(transport: Any) -> int:
    """Bytes written to a plain transport (a FileDescriptor) that it has not given to the kernel."""
    return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)


def kept_back(transport: Any) -> int:
    """Bytes written to a transport that no kernel was given, encrypted or not; 0 where there is no socket.

    TLS that has ended drops what it is given: from then on it is never 0.
    """
    count = 0
    for _ in range(4):
        if isinstance(transport, FileDescriptor):
            return count + held(transport)
        # A TLS transport joins small writes, and keeps what OpenSSL does not take yet.
        count += int(getattr(transport, "_lostTLSConnection", False))
        joined = getattr(getattr(transport, "_aggregator", None), "_buffer", ())
        count += sum(map(len, joined)) + sum(map(len, getattr(transport, "_appSendBuffer", ())))
        transport = getattr(transport, "transport", None)
    return 0


def unconfirmed(transport: Any) -> int:
    """Bytes written to a transport that the peer's kernel has not confirmed; 0 where there is no socket."""
    return kept_back(transport) + (kernel_backlog(transport) or 0)


class Pace:
    """Lets each write wait until the peer's kernel has the one before it, and a moment more.

    For peers that take what one read gives them for one message. On a fast network their
    kernel has a message before they were woken to read it: hence the moment, which is
    what `fast` waits between two questions. Implements Awaiting.
    """

    __slots__ = (
        "_asked",
        "_fast",
        "_go_on",
        "_held",
        "_media",
        "_slow",
        "_transport",
        "_waiting",
        "_wrote_at",
    )

    def __init__(self, transport: Any, go_on: Callable[[], None], fast: DrainWatch, slow: DrainWatch) -> None:
        """Args:
        go_on: called when the next write may be made.
        fast / slow: who asks the kernel, at first and when it takes longer.
        """
        self._transport = transport
        self._go_on = go_on
        self._fast = fast
        self._slow = slow
        self._held = False  # something was written a moment ago
        self._waiting = False
        self._media = False  # it is media that waits
        self._asked = 0
        self._wrote_at = -MEDIA_WAIT

    def ready(self, *, media: bool = False) -> bool:
        """Whether a write may be made now; after False `go_on` follows.

        Args:
            media: it need not wait for the kernel longer than MEDIA_WAIT.
        """
        if self._waiting:
            return False
        self._media = media
        if not (self._held or self._must_wait()):
            return True
        self._waiting = True
        self._asked = 0
        self._fast.add(self)
        return False

    def _must_wait(self) -> bool:
        if self._media and self._fast.now() - self._wrote_at >= MEDIA_WAIT:
            return False
        return unconfirmed(self._transport) > 0

    def wrote(self) -> None:
        """A write was made."""
        self._held = True
        self._wrote_at = self._fast.now()
        self._fast.add(self)

    def kernel_drained(self) -> bool | None:
        """See Awaiting."""
        self._held = False
        if not self._waiting:
            return None
        if self._must_wait():
            self._asked += 1
            if self._asked != FAST_LOOKS:
                return False
            self._slow.add(self)
            return None
        slow = self._asked >= FAST_LOOKS
        self._waiting = False
        self._go_on()
        # By then the next write was made, or waits, with the fast ones.
        return None if slow or not (self._held or self._waiting) else False
