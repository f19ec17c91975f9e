"""The cellar: one node's store, directory and bus over one Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from msgspec import Struct
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from imserver.backends.redis.answers import RedisAnswerMemory
from imserver.backends.redis.broadcasts import Broadcasts
from imserver.backends.redis.bus import RedisBus
from imserver.backends.redis.calls import Calls
from imserver.backends.redis.connection import Connection, Greeting, Where
from imserver.backends.redis.core import Core
from imserver.backends.redis.devices import Devices
from imserver.backends.redis.directory import RedisDirectory
from imserver.backends.redis.epoch import Epoch
from imserver.backends.redis.feed import Feed
from imserver.backends.redis.files import Files
from imserver.backends.redis.link import Redis
from imserver.backends.redis.nodes import NodeSettings
from imserver.backends.redis.nonces import RedisNonceMemory
from imserver.backends.redis.replicas import AckSettings
from imserver.backends.redis.retention import Retention
from imserver.backends.redis.sentinels import Sentinels
from imserver.backends.redis.settings import LinkSettings, StoreSettings
from imserver.backends.redis.store import RedisStore
from imserver.backends.redis.subscriber import Subscriber
from imserver.model.errors import ImError


class Place(Struct, frozen=True):
    """Which Redis, and what of it.

    Attributes:
        prefix: what every key begins with.
        sentinels: who says where it is; None = it is always in the same place.
    """

    where: Where
    greeting: Greeting = Greeting()
    prefix: str = "im:"
    sentinels: Sentinels | None = None


class RedisCellar:
    """Store, directory and bus of one node.

    Args:
        node: this process's name among the nodes; no other process may ever have had it.
        clock: the reactor, or a test's clock.
        monotonic: float seconds that pass as real time does.
        wall: the time of day, float seconds; that of all nodes should agree to a second.
        random_bytes: source of the inbox epoch.
        settings: may be changed while it runs.

    Attributes:
        store, directory, bus, files: the ports; usable between `open` and `close`.
        nonces, answers: what must come, or be done, only once over all nodes.
    """

    _log = Logger()

    def __init__(
        self,
        place: Place,
        node: str,
        clock: IReactorTime,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        *,
        link: LinkSettings = LinkSettings(),  # noqa: B008 - frozen
        nodes: NodeSettings = NodeSettings(),  # noqa: B008 - frozen
        settings: StoreSettings | None = None,
        ack: AckSettings = AckSettings(),  # noqa: B008 - frozen
    ) -> None:
        self.settings = settings if settings is not None else StoreSettings()
        random = Random(random_bytes(16))  # noqa: S311 - it draws delays
        self.redis = Redis(place.where, place.greeting, clock, monotonic, random, link, place.prefix)
        self.subscriber = Subscriber(place.where, place.greeting, clock, monotonic, random, link)
        self._second: Redis | None = None
        if ack.replicas:
            self._second = Redis(place.where, place.greeting, clock, monotonic, random, link, place.prefix)
        self._sentinels = place.sentinels
        if self._sentinels is not None:
            self._sentinels.moved.append(self._moved)
        self.core = Core(self.redis, clock, wall, node, self.settings)
        # It comes first of all that is said to a Redis that was reached.
        self._epoch = Epoch(self.core, self.subscriber, random_bytes)
        self._feed = Feed(self.core, self.subscriber)
        self._epoch.began.append(self._feed.missed)
        self._devices = Devices(self.core)
        self._broadcasts = Broadcasts(self.core)
        self._calls = Calls(self.core, lambda: self.bus.node, self._live)
        self._retention = Retention(self.core)
        self.store = RedisStore(
            self.core,
            self._epoch,
            self._devices,
            self._broadcasts,
            self._calls,
            link.timeout,
            self._second,
            ack,
        )
        self.directory = RedisDirectory(self.core)
        self.files = Files(self.core)
        self.bus = RedisBus(self.redis, self.subscriber, node, clock, nodes)
        self._epoch.began.append(self.bus.attendance.again)
        self.nonces = RedisNonceMemory(self.redis, clock)
        self.answers = RedisAnswerMemory(self.redis, lambda: self.bus.node, clock)
        # Its users are entered again; what was committed before that was not told here.
        self.bus.parted.append(self._feed.parted)
        self.bus.rejoined.append(self._feed.rejoined)
        self._tick_call: IDelayedCall | None = None
        self._open = False

    def _live(self) -> Sequence[str]:
        return self.bus.members.live if self.bus.members.taking_part else ()

    async def open(self) -> None:
        """Reaches Redis and takes part; waits as long as that takes."""
        self._open = True
        if self._sentinels is not None:
            self._sentinels.start()
        heard = self._feed.listen(self.core.node())
        for one in self.connections():
            one.start()
        await heard
        await self._epoch.first()
        await self.nonces.first()
        await self.bus.start()
        self.redis.watch(self._broadcasts.start, _nothing)
        self._tick_call = self.core.clock.callLater(self.settings.tick_seconds, self._tick)

    def connections(self) -> list[Connection]:
        """All to Redis."""
        second = [] if self._second is None else [self._second]
        return [self.subscriber, self.redis, *second]

    def _moved(self) -> None:
        self._log.warn("another Redis has become the master")
        for one in self.connections():
            one.abandon("another one is the master now")

    def _tick(self) -> None:
        self._tick_call = self.core.clock.callLater(self.settings.tick_seconds, self._tick)
        self._devices.persist()
        self._calls.tick()

    async def trim(self, now: float) -> None:
        """Forgets what is too old at `now` (float seconds); called from time to time, by any node.

        Raises:
            ImError: UNAVAILABLE while Redis is away; the next call goes on.
        """
        await self._retention.trim(now)

    async def close(self) -> None:
        """Writes what is due and lets go of Redis. Idempotent."""
        if not self._open:
            return
        self._open = False
        self._broadcasts.stop()
        self._feed.stop()
        if self._tick_call is not None:
            self._tick_call.cancel()
            self._tick_call = None
        self._devices.persist()
        await self.bus.stop()
        await self.redis.call("PING").addErrback(_ignored)
        try:
            await self.store.confirmed()
        except ImError:
            pass  # who waits is refused
        for one in self.connections():
            one.stop()
        if self._sentinels is not None:
            self._sentinels.stop()


def _nothing() -> None:
    pass


def _ignored(reason: object) -> None:
    pass
