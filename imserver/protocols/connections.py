"""How many connections may be open, and what one connection may take."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

_ROUNDING = 1e-6
"""Seconds; the clock is the time of day, whose floats are 2.4e-7 apart."""


class DoorLimits(Struct, frozen=True):
    """What connections may take.

    Attributes:
        connections: open connections, over all listeners; 0 = no limit.
        unauthenticated_per_address: of them not logged in, per peer address; 0 = no limit.
        outbox_bytes: answers and events queued for one peer before it counts as slow.
        outboxes_bytes: bytes queued for all peers together.
        media_bytes: media of a call queued for one peer, beyond which the oldest is dropped.
        commands_per_second / command_burst: commands other than sends and acks, per session.
        silence: seconds without a received byte that end a connection.
        ping_interval: seconds between the pings a WebSocket is sent.
        slow_after: seconds in which a peer took nothing of what is queued for it.
        closing_time: seconds a peer has to take the goodbye and to close.
        handshake_time: seconds an HTTP request's head may take.
        check_interval: seconds between two looks at a connection.
    """

    connections: int = 100_000
    unauthenticated_per_address: int = 1024
    outbox_bytes: int = 1024 * 1024
    outboxes_bytes: int = 256 * 1024 * 1024
    media_bytes: int = 1024 * 1024
    commands_per_second: float = 200.0
    command_burst: float = 400.0
    silence: float = 90.0
    ping_interval: float = 30.0
    slow_after: float = 30.0
    closing_time: float = 5.0
    handshake_time: float = 10.0
    check_interval: float = 10.0

    # What a session has taken of its commands is one number, for there are many sessions that
    # ask little: when, in seconds, it has all of them again. 0.0 = it has.

    def command_delay(self, full_at: float, now: float) -> float:
        """Seconds until one more command is allowed; 0.0 = it is."""
        wait = full_at - now - (self.command_burst - 1) / self.commands_per_second
        # Not less than a clock can tell; and what rounding leaves is nothing.
        return max(wait, 0.001) if wait > _ROUNDING else 0.0

    def command_taken(self, full_at: float, now: float) -> float:
        """The number after one more."""
        return max(full_at, now) + 1 / self.commands_per_second

    def command_given_back(self, full_at: float) -> float:
        """The number after one that was not used."""
        return full_at - 1 / self.commands_per_second


class ConnectionCounter:
    """Counts the connections of all listeners."""

    __slots__ = ("_limit", "_per_address", "_strangers", "refused", "total")

    def __init__(self, limit: int, unauthenticated_per_address: int) -> None:
        """Args: as in DoorLimits."""
        self._limit = limit
        self._per_address = unauthenticated_per_address
        self._strangers: dict[str, int] = {}
        self.total = 0
        self.refused = 0

    def admit(self, address: str, *, proxy: bool = False) -> Admission | None:
        """Counts a new connection; None if there is no room for it, and the caller closes it.

        Args:
            proxy: the address is a proxy's, so that its connections may be many.
        """
        strangers = self._strangers.get(address, 0)
        if (self._limit and self.total >= self._limit) or (
            self._per_address and strangers >= self._per_address and not proxy
        ):
            self.refused += 1
            return None
        self.total += 1
        self._strangers[address] = strangers + 1
        return Admission(self, address)

    def unauthenticated(self, address: str) -> int:
        """Connections of this address that are not logged in."""
        return self._strangers.get(address, 0)

    @property
    def strangers(self) -> int:
        """Connections of all addresses that are not logged in."""
        return sum(self._strangers.values())

    def _move_stranger(self, old: str, new: str) -> bool:
        strangers = self._strangers.get(new, 0)
        if self._per_address and strangers >= self._per_address:
            self.refused += 1
            return False
        self._forget_stranger(old)
        self._strangers[new] = strangers + 1
        return True

    def _forget_stranger(self, address: str) -> None:
        left = self._strangers[address] - 1
        if left:
            self._strangers[address] = left
        else:
            del self._strangers[address]


class Admission:
    """One connection's place in the counts. All methods may be called again."""

    __slots__ = ("_counter", "_open", "_stranger", "address")

    def __init__(self, counter: ConnectionCounter, address: str) -> None:
        self._counter = counter
        self._open = True
        self._stranger = True
        self.address = address

    def authenticated(self) -> None:
        """Somebody logged in: it no longer counts against its address."""
        if self._stranger:
            self._stranger = False
            self._counter._forget_stranger(self.address)

    def move(self, address: str) -> bool:
        """The proxy's connection is this client's from now on; False if the client has too many."""
        if address != self.address and self._stranger:
            if not self._counter._move_stranger(self.address, address):
                return False
            self.address = address
        return True

    def release(self) -> None:
        """The connection is gone."""
        if self._open:
            self._open = False
            self._counter.total -= 1
            self.authenticated()


def settle(transport: Any) -> None:
    """Somebody logged in on this transport; one that serves settled ones first is told so."""
    # A TLS transport wraps the one that has the socket.
    for _ in range(4):
        settled = getattr(transport, "settle", None)
        if settled is not None:
            settled()
            return
        transport = getattr(transport, "transport", None)
