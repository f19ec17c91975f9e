"""What the service manager is told: sd_notify(3) and its watchdog, by a datagram socket."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall


class Notifier:
    """Talks to the service manager; without one every call does nothing."""

    def __init__(self, environment: MutableMapping[str, str], clock: IReactorTime) -> None:
        """Args:
        environment: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, if there is a manager.
        """
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._watchdog = LoopingCall(self._tell, "WATCHDOG=1")
        self._watchdog.clock = clock
        self._interval = _watchdog_seconds(environment)

    def ready(self) -> None:
        """Everything is open. From now on the watchdog hears that the reactor turns."""
        self._tell(f"READY=1\nMAINPID={os.getpid()}\nSTATUS=serving")
        if self._interval and self._address and not self._watchdog.running:
            # Twice in the time allowed, as systemd recommends.
            self._watchdog.start(self._interval / 2)

    def reloading(self) -> None:
        """Files are read again; `ready` has to follow."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reading its files again")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1\nSTATUS=saying goodbye")

    def close(self) -> None:
        """No more."""
        if self._watchdog.running:
            self._watchdog.stop()

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        # A manager that is gone or slow must not hold anybody up.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            channel.setblocking(False)
            channel.sendto(state.encode(), self._address)


def _watchdog_seconds(environment: MutableMapping[str, str]) -> float:
    """Seconds between two signs of life, at most; 0 = nobody watches."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(0, int(environment.get("WATCHDOG_USEC", "0"))) / 1e6
    except ValueError:
        return 0.0
