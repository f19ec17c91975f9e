"""The media servers behind the rooms (document 003): whose health is known, one for every room.

A room belongs to one of the healthy servers by rendezvous hashing (`services.rendezvous`).
Nothing is kept per room, so all nodes that see the same health give the same answer. The
price: when a server comes back, so do its rooms, the running ones too. That is why it has
to answer several times before it counts as healthy again, more often than it may fail.

A server is healthy until a check says otherwise. Its very first check decides alone: there
is nothing yet that one answer could contradict.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.services.rendezvous import Candidate, choose


class ProbeError(Exception):
    """Why a server counts as ill; a few words for the operator."""


Probe = Callable[[str], Awaitable[None]]
"""Asks a health URL; returns if the server says that it is well.

It is cancelled when its time is over. Raises ProbeError; any other error counts the same.
"""


class Health(Struct, frozen=True):
    """How one server is looked after.

    Attributes:
        url: what is asked.
        interval: seconds between the end of a check and the next one.
        timeout: seconds in which a check has to succeed.
        failures: failed checks in a row after which the server counts as ill.
        successes: good checks in a row after which it counts as healthy again.
    """

    url: str
    interval: float = 5.0
    timeout: float = 3.0
    failures: int = 3
    successes: int = 5


class MediaServer(Struct, frozen=True):
    """One server.

    Attributes:
        name: for logs and metrics, and what the hash is made of: another name gets other rooms.
        urls: by protocol: "wss", "ws", "https", "http", "rtsp".
        weight: its share of the rooms.
        health: None = always healthy.
    """

    name: str
    urls: Mapping[str, str]
    weight: float = 1.0
    health: Health | None = None


class Condition:
    """What is known of one server.

    Attributes:
        server: it.
        healthy: whether it gets rooms.
        passed / failed: checks so far.
    """

    log = Logger()

    def __init__(self, server: MediaServer) -> None:
        self.server = server
        self.candidate = Candidate(server.name, server.weight)
        self.healthy = True
        self.passed = 0
        self.failed = 0
        self._contrary = 0
        """Checks in a row that contradict `healthy`."""

    def note(self, health: Health, fault: str | None) -> bool:
        """Takes the outcome of a check.

        Args:
            fault: None = it is well.

        Returns:
            Whether `healthy` has changed.
        """
        first = not self.passed and not self.failed
        if fault is None:
            self.passed += 1
        else:
            self.failed += 1
        if (fault is None) == self.healthy:
            self._contrary = 0
            return False
        self._contrary += 1
        if not first and self._contrary < (health.failures if self.healthy else health.successes):
            return False
        self._contrary = 0
        self.healthy = fault is None
        if fault is None:
            self.log.info("media server {name} is healthy again", name=self.server.name)
        else:
            self.log.warn("media server {name} is ill: {fault}", name=self.server.name, fault=fault)
        return True


class MediaServerPool:
    """All of them. See `services.ports.MediaServers`.

    Args:
        clock: times the checks.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, probe: Probe, servers: Sequence[MediaServer] = ()) -> None:
        self._clock = clock
        self._probe = probe
        self._watchers: list[Callable[[], None]] = []
        self._timers: dict[str, IDelayedCall] = {}
        self._checks: dict[str, Deferred[None]] = {}
        self._running = False
        self.conditions = tuple(Condition(server) for server in servers)
        self._by_name = {condition.server.name: condition for condition in self.conditions}

    def pick(self, room: str) -> Mapping[str, str] | None:
        """The addresses, by protocol, of a room's server now; None where none is healthy."""
        healthy = (condition.candidate for condition in self.conditions if condition.healthy)
        chosen = choose(healthy, room)
        return None if chosen is None else self._by_name[chosen.name].server.urls

    def watch(self, callback: Callable[[], None]) -> None:
        """Calls back after every change of a server's health."""
        self._watchers.append(callback)

    def start(self) -> None:
        """Begins to check, all of them at once."""
        self._running = True
        for condition in self.conditions:
            if condition.server.health is not None:
                self._check(condition, condition.server.health)

    def stop(self) -> None:
        """Ends all checks. Their servers stay as they were."""
        self._running = False
        timers, self._timers = self._timers, {}
        for timer in timers.values():
            timer.cancel()
        for check in tuple(self._checks.values()):
            check.cancel()

    def _check(self, condition: Condition, health: Health) -> None:
        """One check; when it has ended the next one is planned, so a server never has two at a time."""
        name = condition.server.name
        self._timers.pop(name, None)
        check = self._checks[name] = Deferred.fromCoroutine(self._ask(health))
        check.addTimeout(health.timeout, self._clock, _late)
        check.addCallbacks(lambda _: None, _words).addCallback(self._checked, condition, health)
        check.addErrback(lambda failure: self.log.failure("a check of {name}", failure, name=name))

    async def _ask(self, health: Health) -> None:
        await self._probe(health.url)

    def _checked(self, fault: str | None, condition: Condition, health: Health) -> None:
        name = condition.server.name
        self._checks.pop(name, None)
        if not self._running:
            return
        self._timers[name] = self._clock.callLater(health.interval, self._check, condition, health)
        if condition.note(health, fault):
            for watcher in self._watchers:
                try:
                    watcher()
                except Exception:
                    # A watcher's fault is not the others', nor the end of the checks.
                    self.log.failure("told of a media server's health")


def _late(outcome: object, seconds: float) -> None:
    raise ProbeError(f"no answer in {seconds:g} s")


def _words(failure: Failure) -> str:
    error = failure.value
    return str(error) if isinstance(error, ProbeError) else f"{type(error).__name__}: {error}"
