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

from imserver.backends.embedded.bus import LocalAttendance
from imserver.model.accounts import SessionKicked
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
        self._channels: dict[Channel, deque[Callable[[], Any]]] = {}
        self.buses = {name: NetBus(self, name) for name in names}

    def post(self, kind: str, source: str, target: str, delivery: Callable[[], Any]) -> None:
        """Queues something; `delivery` is called when it arrives."""
        self._channels.setdefault((kind, source, target), deque()).append(delivery)

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
        """See Bus; no node is lost here."""

    @property
    def nodes(self) -> Sequence[str]:
        return sorted(self._net.buses)

    def home(self, key: str) -> str:
        names = sorted(self._net.buses)
        return names[sum(key.encode()) % len(names)]

    async def ask(self, node: str, request: Any) -> Any:
        net, here = self._net, self.node
        other = net.buses[node]
        answered: Deferred[Any] = Deferred()

        def answer(result: Any) -> None:
            net.post("answer", node, here, lambda: answered.callback(result))

        async def handle() -> Any:
            return await other._handler(request)

        net.post("ask", here, node, lambda: ensureDeferred(handle()).addBoth(answer))
        return await answered

    async def seats(self, user: str) -> Sequence[Seat]:
        net, found = self._net, []
        for name, other in net.buses.items():
            told: Deferred[Sequence[Seat]] = Deferred()

            def arrived(other: NetBus = other, name: str = name, told: Deferred[Any] = told) -> None:
                seats = other._seats(user)
                net.post("seats told", name, self.node, lambda: told.callback(seats))

            net.post("seats", self.node, name, arrived)
            found.append(told)
        return [seat for told in found for seat in await told]

    def tell(self, seat: Seat, event: Any) -> bool:
        here, other = self.node, self._net.buses[seat.node]
        self._net.post("tell", here, seat.node, lambda: other._on_tell(seat.user, seat.session, event, here))
        return True

    async def claim(self, key: str, value: str) -> str:
        return await self._slot(lambda slots: slots.setdefault(key, value))

    async def holder(self, key: str) -> str:
        return await self._slot(lambda slots: slots.get(key, ""))

    def release(self, key: str, value: str) -> None:
        slots = self._net.slots

        def arrived() -> None:
            if slots.get(key) == value:
                del slots[key]

        self._net.post("slot", self.node, SLOTS, arrived)

    async def _slot(self, look: Callable[[dict[str, str]], str]) -> str:
        net = self._net
        told: Deferred[str] = Deferred()

        def arrived() -> None:
            value = look(net.slots)
            net.post("slot told", SLOTS, self.node, lambda: told.callback(value))

        net.post("slot", self.node, SLOTS, arrived)
        return await told

    def publish(self, users: Iterable[str], event: Any, origin: str = "") -> None:
        """See Bus; calls need none of it."""

    def kick(self, user: str, event: SessionKicked, sid: str = "", session: str = "") -> None:
        """See Bus; calls need none of it."""
