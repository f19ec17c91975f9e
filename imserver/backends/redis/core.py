"""What the parts of the store share."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from imserver.backends.common.taken_back import TakenBack
from imserver.backends.redis.heads import Heads
from imserver.backends.redis.link import Redis
from imserver.backends.redis.own_sends import OwnSends
from imserver.backends.redis.settings import StoreSettings
from imserver.services.ports import FeedSink


class Core:
    """The store's shared parts.

    Attributes:
        wall: the time of day, float seconds; the nodes' clocks should agree to a second.
        node: this process's name among the nodes, on whose channel the feed comes.
        sink: who consumes the feed.
        last: number, milliseconds and part of the newest message this node knows of; 0, 0, 0 = none.
        hearing: whether everything on the feed is heard now.
        taken_back: messages that are revoked while they are being read.
    """

    def __init__(
        self,
        redis: Redis,
        clock: IReactorTime,
        wall: Callable[[], float],
        node: str,
        settings: StoreSettings,
    ) -> None:
        self.redis = redis
        self.clock = clock
        self.wall = wall
        self.node: Callable[[], str] = lambda: node
        self.settings = settings
        self.sink: FeedSink | None = None
        self.taken_back = TakenBack()
        self.heads = Heads()
        self.own_sends = OwnSends()
        self.last = (0, 0, 0)
        self.hearing = False
