"""Keeps one connection to Redis open: connects, greets, notices when it is gone, connects again."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from imserver.backends.redis.protocol import RedisProtocol, ResponseError, pack
from imserver.backends.redis.settings import LinkSettings

MOST_COMPLAINTS = 8
"""Reasons that people are told while it cannot be used, each of them once."""

Where = Callable[[], Awaitable[IStreamClientEndpoint]]
"""Says where the Redis that takes writes is now."""

Taker = Callable[[Any], str]
"""Takes a reply to a greeting; says what is wrong with it, "" = nothing."""


class Greeting(Struct, frozen=True):
    """Who connects, and to which of the server's databases.

    Attributes:
        user: "" = the default user.
        password: "" = none is asked for.
    """

    user: str = ""
    password: str = ""
    database: int = 0

    def commands(self) -> list[tuple[Any, ...]]:
        """What is said first."""
        commands: list[tuple[Any, ...]] = []
        if self.password:
            commands.append(("AUTH", *((self.user,) if self.user else ()), self.password))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands


class Connection:
    """The base of `link.Redis` and `subscriber.Subscriber`.

    Args:
        monotonic: float seconds that pass as Redis' own time does.

    Attributes:
        up: whether the server was greeted and nothing is known to be wrong.
        fault: why the last connection, or attempt, was given up.
    """

    log = Logger()
    title = "Redis"

    def __init__(
        self,
        where: Where,
        greeting: Greeting,
        clock: IReactorTime,
        monotonic: Callable[[], float],
        random: Random,
        settings: LinkSettings,
    ) -> None:
        self._where = where
        self._greeting = greeting
        self._clock = clock
        self._monotonic = monotonic
        self._random = random
        self._settings = settings
        self.up = False
        self._protocol: RedisProtocol | None = None
        self._expected: deque[Taker] = deque()  # who takes the replies to the greeting that are to come
        self._attempt: Deferred[Any] | None = None
        self._attempts = 0
        self._timer: IDelayedCall | None = None
        self._stopped = True
        self._complaints: set[str] = set()  # what people were told since it could be used
        self._ahead = 0.0
        self.fault = ""

    # For subclasses

    def _questions(self) -> list[tuple[tuple[Any, ...], Taker]]:
        """What the server is asked before it is used."""
        return [(("ROLE",), _no_replica), (("TIME",), self._measured)]

    def _opened(self) -> None:
        """The server was greeted."""
        raise AssertionError("implemented by the subclass")

    def _replied(self, replies: list[Any]) -> None:
        """Replies came, all at once."""
        raise AssertionError("implemented by the subclass")

    def _closed(self) -> None:
        """The connection that was `up` is gone."""
        raise AssertionError("implemented by the subclass")

    def _write(self, data: bytes) -> None:
        assert self._protocol is not None
        self._protocol.transport.write(data)

    # Life

    def start(self) -> None:
        """Begins to connect."""
        assert self._stopped, "started twice"
        self._stopped = False
        self._connect()

    def stop(self) -> None:
        """Lets the connection go; what waits is refused. Idempotent."""
        self._stopped = True
        if self._attempt is not None:
            self._attempt.cancel()
        self._cancel_timer()
        self._give_up("stopped")

    def abandon(self, reason: str) -> None:
        """Looks anew where the server is: it is known to be elsewhere."""
        if self._stopped:
            return
        self._attempts = 0
        if self._attempt is not None:
            self._attempt.cancel()
        else:
            self._give_up(reason)

    def server_time(self) -> float:
        """Redis' own time now, float seconds; never ahead of it as long as the clocks run alike."""
        return self._monotonic() + self._ahead

    def _measured(self, reply: Any) -> str:
        """Takes a reply to TIME."""
        if not isinstance(reply, list):
            return str(reply)
        seconds, microseconds = reply
        # It was true at some time before the reply came.
        self._ahead = int(seconds) + int(microseconds) / 1e6 - self._monotonic()
        return ""

    def _connect(self) -> None:
        self._timer = self._clock.callLater(self._settings.timeout, self._too_late)
        attempt = ensureDeferred(self._reach())
        if not attempt.called:
            self._attempt = attempt
        attempt.addErrback(self._not_reached)

    async def _reach(self) -> None:
        endpoint = await self._where()
        protocol: Any = await endpoint.connect(Factory.forProtocol(lambda: RedisProtocol(self)))
        self._attempt = None
        self._protocol = protocol
        said = self._questions()
        said[:0] = [(command, _no_refusal) for command in self._greeting.commands()]
        self._expected = deque(taker for _, taker in said)
        self._write(b"".join(pack(command) for command, _ in said))

    def _not_reached(self, failure: Failure) -> None:
        self._attempt = None
        self._again(failure.getErrorMessage())

    def _too_late(self) -> None:
        self._timer = None
        if self._attempt is not None:
            self._attempt.cancel()
        else:
            self._give_up("no answer to the greeting")

    def _again(self, reason: str) -> None:
        """Plans the next attempt."""
        self._cancel_timer()
        self.fault = reason
        if self._stopped:
            return
        if reason not in self._complaints and len(self._complaints) < MOST_COMPLAINTS:
            self._complaints.add(reason)
            self.log.error("{title} cannot be used: {reason}", title=self.title, reason=reason)
        settings = self._settings
        delay = min(settings.longest_delay, settings.first_delay * 2.0 ** min(self._attempts, 32))
        self._attempts += 1
        self._timer = self._clock.callLater(delay * (0.5 + 0.5 * self._random.random()), self._connect)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _give_up(self, reason: str) -> None:
        """Ends a connection that is no longer any good, and plans the next one."""
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            return
        was_up, self.up = self.up, False
        self._expected.clear()
        if protocol.transport is not None:
            protocol.transport.abortConnection()
        self._again(reason)
        if was_up:
            self._closed()

    # protocol.Owner

    def received(self, protocol: RedisProtocol, replies: list[Any]) -> None:
        """See Owner."""
        if protocol is not self._protocol:
            return
        if self.up:
            self._replied(replies)
            return
        for reply in replies:
            fault = self._expected.popleft()(reply)
            if fault:
                self._give_up(fault)
                return
        if not self._expected:
            self._cancel_timer()
            self.up = True
            self._attempts = 0
            if self._complaints:
                self._complaints.clear()
                self.log.info("{title} can be used again", title=self.title)
            self._opened()

    def lost(self, protocol: RedisProtocol, reason: str) -> None:
        """See Owner."""
        if protocol is self._protocol:
            self._give_up(reason)


def _no_refusal(reply: Any) -> str:
    return str(reply) if isinstance(reply, ResponseError) else ""


def _no_replica(reply: Any) -> str:
    if isinstance(reply, ResponseError):
        return str(reply)
    return "" if reply[0] == b"master" else "it is a replica, and takes no writes"


def at(endpoint: IStreamClientEndpoint) -> Where:
    """Redis is always in the same place."""

    def where() -> Deferred[IStreamClientEndpoint]:
        return succeed(endpoint)

    return where
