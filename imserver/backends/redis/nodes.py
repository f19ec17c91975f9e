"""Which nodes there are: each gives signs of life, and each sees for itself whose fail to come.

A sign of life is a number in Redis that grows. A node whose number did not grow for the length of
the lease, while somebody could look all the time, is lost. Nobody compares clocks, and while Redis is away
nobody can look, so nobody is lost by that.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from imserver.backends.redis.faults import RedisLost
from imserver.backends.redis.keys import NODE_NAME
from imserver.backends.redis.link import Redis
from imserver.backends.redis.scripts import Script, lua
from imserver.backends.redis.subscriber import Subscriber
from imserver.services.rendezvous import Candidate, choose

REMEMBERED = 1000
"""Lost nodes that are remembered, so that nothing they still say is heard."""

_BEAT = Script("node_beat", *lua("nodes", "node_beat"))
_BURY = Script("node_bury", *lua("nodes", "node_bury"))


class NodeSettings(Struct, frozen=True):
    """Periods, in seconds; the same on every node.

    Attributes:
        beat: between two signs of life.
        lease: without one after which a node is lost.
    """

    beat: float = 1.0
    lease: float = 6.0


class Watching(Protocol):
    """Who is told of nodes. None of these may wait."""

    def joined(self) -> None:
        """This node takes part, under the name it has now."""

    def came(self, node: str) -> None:
        """Another node takes part."""

    def lost(self, node: str) -> None:
        """Another node does not any more."""

    def cut_off(self) -> None:
        """This node was taken for lost; it will join again."""

    def renamed(self) -> None:
        """This node will join under another name than the one that nobody may have heard of yet."""

    def dead(self, nodes: Sequence[str]) -> None:
        """Of these lost nodes something is left to be cleared away."""


class Nodes:
    """This node among the others.

    Args:
        name: this process's, unique: no other process may ever have had it.
        clock: times the signs of life.

    Attributes:
        name: see there.
        live: the identities of all live nodes, ascending, as far as known.
        taking_part: whether this node is one of them.
    """

    log = Logger()

    def __init__(
        self,
        redis: Redis,
        subscriber: Subscriber,
        name: str,
        clock: IReactorTime,
        settings: NodeSettings,
        watching: Watching,
    ) -> None:
        if re.fullmatch(NODE_NAME, name) is None:
            raise ValueError(f"{name!r} is no name for a node")
        self.name = name
        self.live: tuple[str, ...] = ()
        self.taking_part = False
        self._redis = redis
        self._subscriber = subscriber
        self._clock = clock
        self._settings = settings
        self._watching = watching
        self._joins = 1
        self._abandoned = ""  # an identity under which this node may take part without knowing
        self._beats: dict[str, tuple[bytes, float]] = {}  # what was seen last, and since when
        self._looked_at = float("-inf")
        self._lost: OrderedDict[str, None] = OrderedDict()
        self._candidates: list[Candidate] = []
        self._timer: IDelayedCall | None = None
        self._asking = False
        self._again = False
        self._starting: Deferred[None] | None = None
        self._stopped = False
        self._retired = False

    @property
    def identity(self) -> str:
        """What this node is called now."""
        return f"{self.name}:{self._joins}"

    def is_lost(self, node: str) -> bool:
        """Whether a node was seen to be lost."""
        return node in self._lost

    def is_live(self, node: str) -> bool:
        """Whether a node is seen among the others."""
        return node in self.live

    def home(self, key: str) -> str:
        """The live node that a key belongs to."""
        chosen = choose(self._candidates, key)
        return self.identity if chosen is None else chosen.name

    # Life

    def start(self) -> Deferred[None]:
        """Joins; fires when this node takes part, however long Redis may be away."""
        self._starting = Deferred()
        channel = f"{self._redis.channels}nodes".encode()
        self._subscriber.subscribe(channel, self._heard).addErrback(_ignored)
        self._timer = self._clock.callLater(self._settings.beat, self._tick)
        self._redis.watch(self._look, self._away)
        return self._starting

    def retire(self) -> None:
        """See `Bus.retire`."""
        self._retired = True
        self._look()

    async def stop(self) -> None:
        """Leaves; the others clear away what is left. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.taking_part:
            self.taking_part = False
            await self._redis.script(_BURY, args=(self.identity, "")).addErrback(_ignored)

    def _tick(self) -> None:
        self._timer = self._clock.callLater(self._settings.beat, self._tick)
        self._look()

    def _heard(self, payloads: list[bytes]) -> None:
        self._look()

    def _away(self) -> None:
        self._asking = False

    def _look(self) -> None:
        """Gives a sign of life and looks at those of the others."""
        if self._stopped or not self._redis.connected:
            return
        if self._asking:
            self._again = True
            return
        self._asking = True
        if self._abandoned:
            self._redis.script(_BURY, args=(self._abandoned, "")).addErrback(_ignored)
            self._abandoned = ""
        joins = 0 if self.taking_part else 1
        given = self._redis.script(_BEAT, args=(self.identity, joins, int(self._retired)))
        given.addCallbacks(self._seen, self._unseen)

    def _unseen(self, failure: Any) -> None:
        self._asking = False
        self.log.debug("no sign of life could be given: {reason}", reason=failure.getErrorMessage())
        if not self.taking_part and isinstance(failure.value, RedisLost):
            # The others may know it under this name, and may have lost it before it comes again: whom they
            # have lost they do not hear any more.
            self._abandoned = self.identity
            self._joins += 1
            self._watching.renamed()

    def _seen(self, reply: Any) -> None:
        self._asking = False
        if self._stopped:
            return
        if reply == b"lost":
            self._cut_off()
        else:
            beats, dead, retired = reply
            self._observe(
                {beats[at].decode(): beats[at + 1] for at in range(0, len(beats), 2)},
                {node.decode() for node in retired},
            )
            if dead:
                self._watching.dead([node.decode() for node in dead])
        if self._again:
            self._again = False
            self._look()

    # Looking

    def _observe(self, beats: dict[str, bytes], retired: set[str]) -> None:
        now = self._clock.seconds()
        if abs(now - self._looked_at) > self._settings.lease / 2:
            # Nobody looked for a while (or the clock jumped): what did not come then proves nothing.
            self._beats = {node: (seen, now) for node, (seen, _) in self._beats.items()}
        self._looked_at = now
        for node, number in beats.items():
            seen = self._beats.get(node)
            if seen is None or seen[0] != number:
                self._beats[node] = (number, now)
            elif now - seen[1] >= self._settings.lease and node != self.identity:
                self.log.warn("node {node} gives no sign of life", node=node)
                self._redis.script(_BURY, args=(node, number)).addErrback(_ignored)
        before = self.live
        self.live = tuple(sorted(beats))
        # If all of them go, somebody has to be home.
        homes = [node for node in self.live if node not in retired] or self.live
        self._candidates = [Candidate(node) for node in homes]
        if not self.taking_part:
            self.taking_part = True
            self._watching.joined()
        for node in self.live:
            if node not in before and node != self.identity:
                self.log.info("node {node} takes part", node=node)
                self._watching.came(node)
        for node in before:
            if node not in beats:
                self._forget(node)
        if self._starting is not None:
            starting, self._starting = self._starting, None
            starting.callback(None)

    def _forget(self, node: str) -> None:
        self._beats.pop(node, None)
        self._lost[node] = None
        if len(self._lost) > REMEMBERED:
            self._lost.popitem(last=False)
        if name_of(node) != self.name:
            self.log.info("node {node} is gone", node=node)
            self._watching.lost(node)

    def _cut_off(self) -> None:
        if self.taking_part:
            self.log.error("the other nodes took this one for lost; it joins again")
            self._watching.cut_off()
            self.taking_part = False
        self._joins += 1
        self._again = True


def name_of(node: str) -> str:
    """The process behind an identity."""
    return node.partition(":")[0]


def _ignored(failure: Any) -> None:
    pass
