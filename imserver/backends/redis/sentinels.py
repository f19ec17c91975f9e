"""Where the master is, as Redis Sentinel says: every sentinel is asked once a second.

Sentinels do not all learn of a fail-over at once, and one that was cut off says what used to be so.
Each fail-over has a number (the configuration epoch) that only grows, so whoever knows the highest is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint

from imserver.backends.redis.connection import Connection, Greeting, Taker, at
from imserver.backends.redis.protocol import ResponseError, pack
from imserver.backends.redis.settings import LinkSettings

Reach = Callable[[str, int], IStreamClientEndpoint]
"""The way to a host and port."""


class Opinion(Struct, frozen=True):
    """Where a sentinel says the master is, by how many fail-overs it knows of."""

    epoch: int
    host: str
    port: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port


class Sentinel(Connection):
    """A connection to one sentinel.

    Args:
        name: for people.
        service: what the sentinels call the master and its replicas.
        told: called whenever it has said where the master is.

    Attributes:
        opinion: what it said last; None = nothing yet.
    """

    def __init__(
        self,
        name: str,
        endpoint: IStreamClientEndpoint,
        service: str,
        greeting: Greeting,
        clock: IReactorTime,
        monotonic: Callable[[], float],
        random: Random,
        settings: LinkSettings,
        told: Callable[[], None],
    ) -> None:
        super().__init__(at(endpoint), greeting, clock, monotonic, random, settings)
        self.title = f"the sentinel {name}"
        self.opinion: Opinion | None = None
        self._service = service
        self._told = told
        self._asked_at: float | None = None
        self._replies: list[Any] = []
        self._tick_call: IDelayedCall | None = None
        self._unknown = False

    def _questions(self) -> list[tuple[tuple[Any, ...], Taker]]:
        # What is no sentinel does not know the word, and is complained of once.
        return [(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service), _refused)]

    def _opened(self) -> None:
        self._asked_at = None
        self._replies.clear()
        self._tick()

    def _closed(self) -> None:
        if self._tick_call is not None and self._tick_call.active():
            self._tick_call.cancel()
        self._tick_call = None

    def _tick(self) -> None:
        self._tick_call = self._clock.callLater(self._settings.ping_seconds, self._tick)
        now = self._clock.seconds()
        if self._asked_at is None:
            self._asked_at = now
            # The address is the new one as soon as there is one; the number is in the whole story alone.
            self._write(
                pack(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service))
                + pack(("SENTINEL", "MASTER", self._service))
            )
        elif now - self._asked_at >= self._settings.timeout:
            self._give_up(f"no answer for {self._settings.timeout:g} seconds")

    def _replied(self, replies: list[Any]) -> None:
        self._replies += replies
        if len(self._replies) < 2:
            return
        address, story = self._replies
        self._replies.clear()
        self._asked_at = None
        if isinstance(address, ResponseError):
            self._give_up(str(address))
            return
        if not isinstance(address, list) or not isinstance(story, list):
            if not self._unknown:
                self._unknown = True
                self.log.error("{title} knows no master {service}", title=self.title, service=self._service)
            return
        self._unknown = False
        fields = dict(zip(story[::2], story[1::2], strict=False))
        host, port = address
        self.opinion = Opinion(int(fields.get(b"config-epoch", 0)), host.decode(), int(port))
        self._told()


class Sentinels:
    """All sentinels of one master; says where it is (`Sentinels.where` is a connection's `Where`).

    Args:
        addresses: of the sentinels.
        service: what they call the master and its replicas.
        greeting: how they are greeted; they have no databases.
        reach: the way to a sentinel, and to the master.

    Attributes:
        moved: called when another Redis has become the master.
    """

    def __init__(
        self,
        addresses: Sequence[tuple[str, int]],
        service: str,
        greeting: Greeting,
        reach: Reach,
        clock: IReactorTime,
        monotonic: Callable[[], float],
        random: Random,
        settings: LinkSettings,
    ) -> None:
        self._reach = reach
        self._sentinels = [
            Sentinel(
                f"{host}:{port}",
                reach(host, port),
                service,
                greeting,
                clock,
                monotonic,
                random,
                settings,
                self._consider,
            )
            for host, port in addresses
        ]
        self.moved: list[Callable[[], None]] = []
        self.master: tuple[str, int] | None = None
        self._waiting: list[Deferred[None]] = []

    def start(self) -> None:
        """Begins to ask."""
        for sentinel in self._sentinels:
            sentinel.start()

    def stop(self) -> None:
        """Asks no more. Idempotent."""
        for sentinel in self._sentinels:
            sentinel.stop()

    async def where(self) -> IStreamClientEndpoint:
        """The way to the master, as soon as any sentinel has said where it is.

        What was said last counts while no sentinel can be reached.
        """
        while self.master is None:
            waiting: Deferred[None] = Deferred(self._forget)
            self._waiting.append(waiting)
            await waiting
        return self._reach(*self.master)

    def _forget(self, waiting: Deferred[None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def _consider(self) -> None:
        found = best([one.opinion for one in self._sentinels if one.up and one.opinion is not None])
        if found is None or found == self.master:
            return
        before, self.master = self.master, found
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)
        if before is not None:
            for callback in self.moved:
                callback()


def best(opinions: Sequence[Opinion]) -> tuple[str, int] | None:
    """The address to be believed: that of the newest fail-over; of several, what most say."""
    newest = max((opinion.epoch for opinion in opinions), default=0)
    votes = Counter(opinion.address for opinion in opinions if opinion.epoch == newest)
    return votes.most_common(1)[0][0] if votes else None


def _refused(reply: Any) -> str:
    return str(reply) if isinstance(reply, ResponseError) else ""
