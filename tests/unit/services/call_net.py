"""A bus between several nodes on which everything takes its time.

Everything that goes over it waits in a channel (kind, from, to) until it is delivered.
Within a channel the order is kept; between channels there is none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from imserver.backends.embedded.bus import LocalAttendance
from imserver.model.accounts import SessionKicked
from imserver.model.errors import ErrorCode, ImError
from imserver.services.ports import Seat, Watcher

Channel = tuple[str, str, str]
SLOTS = "slots"
"""The name of whoever keeps the slots."""


class Order:
    """In which order channels deliver: by chance, or so that some of them wait for most of the others.

    Args:
        seed: an even one: by chance.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._unfair = bool(seed % 2)
        self._ranks: dict[Channel, float] = {}

    def below(self, limit: int) -> int:
        """Some number."""
        return self._random.randrange(limit)

    def next(self, channels: Sequence[Channel]) -> Channel:
        """Which of these channels is next."""
        if not self._unfair:
            return self._random.choice(channels)
        if self._random.random() < 0.03:  # slow ones may become fast ones
            self._ranks.clear()
        return min(channels, key=self._rank)

    def _rank(self, channel: Channel) -> float:
        rank = self._ranks.get(channel)
        if rank is None:
            rank = self._ranks[channel] = self._random.random()
        return rank


class Net:
    """What is between the nodes.

    Attributes:
        buses: one for each node.
        slots: who has what.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.slots: dict[str, str] = {}
        self.owners: dict[str, str] = {}  # of slots
        self._channels: dict[Channel, deque[Callable[[], Any]]] = {}
        self.names = sorted(names)
        self.buses = {name: NetBus(self, name) for name in names}

    def post(self, kind: str, source: str, target: str, delivery: Callable[[], Any]) -> None:
        """Queues something; `delivery` is called when it arrives."""
        self._channels.setdefault((kind, source, target), deque()).append(delivery)

    def lose(self, name: str) -> None:
        """A node is lost: the others learn it in some order, and hear what it said as long as they do not."""
        lost = self.buses.pop(name)
        lost.gone = True
        for slot, owner in list(self.owners.items()):
            if owner == name:
                del self.slots[slot], self.owners[slot]
        for channel in list(self._channels):
            if channel[2] == name or channel[1:] == (name, SLOTS):
                del self._channels[channel]
        for other in self.buses.values():
            self.post("lost", name, other.node, lambda other=other: self._learn(other, name))  # type: ignore[misc]

    def _learn(self, bus: NetBus, name: str) -> None:
        for channel in list(self._channels):
            if channel[1:] == (name, bus.node):
                del self._channels[channel]
        bus.lost(name)

    @property
    def waiting(self) -> int:
        """Deliveries under way."""
        return sum(len(queue) for queue in self._channels.values())

    def deliver(self, order: Order) -> bool:
        """Lets the first of some channel arrive; False if nothing is under way."""
        channels = sorted(channel for channel, queue in self._channels.items() if queue)
        if not channels:
            return False
        queue = self._channels[order.next(channels)]
        queue.popleft()()
        return True

    def settle(self, order: Order) -> None:
        """Lets everything arrive, in some order."""
        for _ in range(100_000):
            if not self.deliver(order):
                return
        raise AssertionError("the nodes never stop talking")


class NetBus:
    """services.ports.Bus of one node."""

    def __init__(self, net: Net, node: str) -> None:
        self._net = net
        self.node = node
        self.attendance = LocalAttendance()
        self.gone = False
        self._lost: set[str] = set()
        self._asked: list[tuple[str, Deferred[Any], Any]] = []
        self._watcher: Watcher | None = None
        self._seats: Callable[[str], Sequence[Seat]]
        self._on_tell: Callable[[str, str, Any, str], None]
        self._handler: Callable[[Any], Awaitable[Any]]

    def attach(
        self,
        on_event: Callable[[Iterable[str], Any, str], None],
        on_kick: Callable[[str, str, str, SessionKicked], None],
    ) -> None:
        """See Bus; calls need none of it."""

    def serve(
        self,
        seats: Callable[[str], Sequence[Seat]],
        on_tell: Callable[[str, str, Any, str], None],
        handler: Callable[[Any], Awaitable[Any]],
    ) -> None:
        self._seats, self._on_tell, self._handler = seats, on_tell, handler

    def watch(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def lost(self, name: str) -> None:
        """This node learns that another one is lost."""
        self._lost.add(name)
        for node, answered, outcome in list(self._asked):
            if node == name:
                self._end(answered, outcome)
        if self._watcher is not None:
            self._watcher.node_lost(name)

    def _expect(self, node: str, outcome: Any) -> Deferred[Any]:
        """What another node will answer; `outcome`: should it be lost instead."""
        answered: Deferred[Any] = Deferred()
        self._asked.append((node, answered, outcome))
        return answered

    def _end(self, answered: Deferred[Any], outcome: Any) -> None:
        self._asked = [one for one in self._asked if one[1] is not answered]
        if not answered.called:
            answered.callback(outcome)

    @property
    def nodes(self) -> Sequence[str]:
        return sorted(self._net.buses)

    def home(self, key: str) -> str:
        names = [name for name in self._net.names if name not in self._lost]
        return names[sum(key.encode()) % len(names)]

    def retire(self) -> None:
        pass

    async def ask(self, node: str, request: Any) -> Any:
        net, here = self._net, self.node
        away = Failure(ImError(ErrorCode.UNAVAILABLE, "the node is lost"))
        if node in self._lost:
            away.raiseException()
        answered = self._expect(node, away)
        other = net.buses.get(node)
        if other is not None:
            handler = other._handler

            def answer(result: Any) -> None:
                if not other.gone:
                    net.post("answer", node, here, lambda: self._end(answered, result))

            async def handle() -> Any:
                return await handler(request)

            net.post("ask", here, node, lambda: ensureDeferred(handle()).addBoth(answer))
        return await answered

    async def seats(self, user: str) -> Sequence[Seat]:
        net, found = self._net, []
        for name, other in net.buses.items():
            told = self._expect(name, [])

            def arrived(other: NetBus = other, name: str = name, told: Deferred[Any] = told) -> None:
                seats = other._seats(user)
                net.post("seats told", name, self.node, lambda: self._end(told, seats))

            net.post("seats", self.node, name, arrived)
            found.append(told)
        return [seat for told in found for seat in await told]

    def tell(self, seat: Seat, event: Any) -> bool:
        here, other = self.node, self._net.buses.get(seat.node)
        if other is None or self.gone:
            return True
        self._net.post("tell", here, seat.node, lambda: other._on_tell(seat.user, seat.session, event, here))
        return True

    async def claim(self, key: str, value: str) -> str:
        def take(slots: dict[str, str]) -> str:
            if key not in slots:
                slots[key], self._net.owners[key] = value, self.node
            return slots[key]

        return await self._slot(take)

    async def holder(self, key: str) -> str:
        return await self._slot(lambda slots: slots.get(key, ""))

    def release(self, key: str, value: str) -> None:
        slots = self._net.slots

        def arrived() -> None:
            if slots.get(key) == value:
                del slots[key], self._net.owners[key]

        if not self.gone:
            self._net.post("slot", self.node, SLOTS, arrived)

    async def _slot(self, look: Callable[[dict[str, str]], str]) -> str:
        net = self._net
        told: Deferred[str] = Deferred()
        if self.gone:
            return await told

        def arrived() -> None:
            value = look(net.slots)
            net.post("slot told", SLOTS, self.node, lambda: told.callback(value))

        net.post("slot", self.node, SLOTS, arrived)
        return await told

    def publish(self, users: Iterable[str], event: Any, origin: str = "") -> None:
        """See Bus; calls need none of it."""

    def kick(self, user: str, event: SessionKicked, sid: str = "", session: str = "") -> None:
        """See Bus; calls need none of it."""
