"""The bus between nodes: `ports.Bus` over channels and keys of Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from imserver.backends.redis import talk
from imserver.backends.redis.again import Again
from imserver.backends.redis.asking import SECONDS as ASK_SECONDS
from imserver.backends.redis.asking import Asking
from imserver.backends.redis.attendance import Attendance
from imserver.backends.redis.crossing import pack
from imserver.backends.redis.exchange import Exchange
from imserver.backends.redis.faults import unavailable
from imserver.backends.redis.hearing import Consumers, Hearing, OnEvent, OnKick, OnTell
from imserver.backends.redis.keys import BUS
from imserver.backends.redis.link import Redis
from imserver.backends.redis.nodes import Nodes, NodeSettings
from imserver.backends.redis.reaper import Reaper
from imserver.backends.redis.slots import Slots
from imserver.backends.redis.subscriber import Subscriber
from imserver.model.accounts import SessionKicked
from imserver.model.calls import CallMedia
from imserver.model.errors import ImError
from imserver.services.limits import RateLimiter
from imserver.services.ports import Seat, Watcher

MEDIA_BYTES_PER_SECOND = 16 * 1024 * 1024
MEDIA_BYTES_AT_ONCE = 4 * 1024 * 1024
"""Media that one node sends to others; beyond it, it is dropped: Redis has more important things to carry,
and ends the connection of a listener for whom too much waits."""


class RedisBus:
    """See `ports.Bus`. What is for this node itself is a function call, as on the embedded bus.

    Args:
        name: this process's, see `Nodes`.

    Attributes:
        members: which nodes there are.
        attendance: see `Bus.attendance`.
        parted: called when this node learns that the others take it for lost.
        rejoined: called when it takes part again after that: what concerns its users may not have come.
    """

    log = Logger()

    def __init__(
        self,
        redis: Redis,
        subscriber: Subscriber,
        name: str,
        clock: IReactorTime,
        settings: NodeSettings = NodeSettings(),  # noqa: B008 - frozen
    ) -> None:
        self._redis = redis
        self._subscriber = subscriber
        self._clock = clock
        self.members = Nodes(redis, subscriber, name, clock, settings, self)
        self._consumers = Consumers()
        self._asking = Asking(clock)
        hearing = Hearing(self._consumers, self._asking, redis, self._say)
        self._exchange = Exchange(
            redis, self._identity, self.members.is_lost, self.members.is_live, clock, hearing
        )
        self._slots = Slots(redis, self._identity, self.members.is_lost, clock)
        self._reaper = Reaper(redis, self._slots, self._identity, self._attendance_changed)
        self.attendance = Attendance(redis, self.members, clock, self._attendance_changed)
        self.parted: list[Callable[[], None]] = []
        self.rejoined: list[Callable[[], None]] = []
        self._media = RateLimiter(clock.seconds, MEDIA_BYTES_PER_SECOND, MEDIA_BYTES_AT_ONCE)
        self._unsaid_kicks: list[talk.Kick] = []
        self._kick_again = Again(redis, clock, self._say_kicks)
        self._was_cut_off = False

    # Life

    async def start(self) -> None:
        """Takes part; waits until that is so."""
        channel = f"{self._redis.channels}{BUS}{self.members.name}"
        listening = self._subscriber.subscribe(channel.encode(), self._exchange.arrived)
        await listening
        self._exchange.start()
        await self.members.start()
        self.attendance.start()
        self._subscriber.watch(self._exchange.look, _nothing)
        self._redis.watch(self._exchange.look, _nothing)
        # After the sign of life: who was cut off says it under the new name.
        self._kick_again.start()

    async def stop(self) -> None:
        """Leaves the others. Idempotent."""
        self._exchange.stop()
        self._reaper.stop()
        self.attendance.stop()
        self._asking.refuse(lambda node: True)
        await self.members.stop()

    def _say_kicks(self) -> None:
        kicks, self._unsaid_kicks = self._unsaid_kicks, []
        for kick in kicks:
            self._kick_elsewhere(kick)

    # ports.Bus

    def attach(self, on_event: OnEvent, on_kick: OnKick) -> None:
        """See `Bus.attach`; `on_kick` is called with user, sid, session, event."""
        self._consumers.on_event = on_event
        self._consumers.on_kick = on_kick

    def serve(
        self,
        seats: Callable[[str], Sequence[Seat]],
        on_tell: OnTell,
        handler: Callable[[Any], Awaitable[Any]],
    ) -> None:
        """See `Bus.serve`."""
        self.attendance.seats_here = seats
        self._consumers.on_tell, self._consumers.on_request = on_tell, handler

    def watch(self, watcher: Watcher) -> None:
        """See `Bus.watch`."""
        self._consumers.watcher = watcher

    @property
    def node(self) -> str:
        """See `Bus.node`."""
        return self.members.identity

    @property
    def nodes(self) -> Sequence[str]:
        """See `Bus.nodes`."""
        return self.members.live or (self.node,)

    def home(self, key: str) -> str:
        """See `Bus.home`."""
        return self.members.home(key)

    def retire(self) -> None:
        """See `Bus.retire`."""
        self.members.retire()

    async def seats(self, user: str) -> Sequence[Seat]:
        """See `Bus.seats`."""
        return await self.attendance.seats(user)

    async def claim(self, key: str, value: str) -> str:
        """See `Bus.claim`."""
        return await self._slots.claim(key, value)

    def release(self, key: str, value: str) -> None:
        """See `Bus.release`."""
        self._slots.release(key, value)

    async def holder(self, key: str) -> str:
        """See `Bus.holder`."""
        # Whoever looks for a call because a session came or went must look after that is written: a home
        # takes the slot before it looks for sessions.
        self.attendance.flush()
        return await self._slots.holder(key)

    async def ask(self, node: str, request: Any) -> Any:
        """See `Bus.ask`."""
        if node == self.node:
            return await self._consumers.on_request(request)
        members = self.members
        if not self._redis.connected or not members.taking_part or members.is_lost(node):
            raise unavailable("the node that is asked cannot be reached")
        packed = pack(request)
        number, answered = self._asking.open(node)
        until = self._redis.server_time() + ASK_SECONDS
        self._exchange.say(node, talk.write(talk.Ask(number, until, packed)))
        return await answered

    def tell(self, seat: Seat, event: Any) -> bool:
        """See `Bus.tell`."""
        node = seat.node
        if node == self.node:
            self._consumers.on_tell(seat.user, seat.session, event, node)
        elif type(event) is CallMedia:
            body = talk.write_media(seat.session, event)
            return self._media.allow("", len(body)) and self._exchange.say_loosely(node, body)
        elif self.members.taking_part:
            self._exchange.say(node, talk.write(talk.Tell(seat.user, seat.session, pack(event))))
        return True

    def publish(self, users: Iterable[str], event: Any, origin: str = "") -> None:
        """See `Bus.publish`."""
        everybody = list(users)
        self._consumers.on_event(everybody, event, origin)
        if everybody and len(self.nodes) > 1 and self._redis.connected:
            self._spawn(self._publish_elsewhere(everybody, pack(event), origin))

    async def _publish_elsewhere(self, users: list[str], event: bytes, origin: str) -> None:
        for node, there in (await self.attendance.nodes_of(users)).items():
            if node != self.node:
                self._exchange.say(node, talk.write(talk.Publish(there, event, origin)))

    def kick(self, user: str, event: SessionKicked, sid: str = "", session: str = "") -> None:
        """See `Bus.kick`."""
        self._consumers.on_kick(user, sid, session, event)
        self._kick_elsewhere(talk.Kick(user, sid, session, pack(event)))

    def _kick_elsewhere(self, kick: talk.Kick) -> None:
        # Asked of Redis: somebody may have logged in on a node that is not known here yet.
        listed = self._redis.call("HKEYS", f"{self._redis.prefix}nodes")

        def say(nodes: list[bytes]) -> None:
            for node in nodes:
                if node.decode() != self.node:
                    self._exchange.say(node.decode(), talk.write(kick))

        def keep(failure: Any) -> None:
            self._unsaid_kicks.append(kick)
            self._kick_again.later()

        listed.addCallbacks(say, keep).addErrback(self._failed)

    # nodes.Watching

    def joined(self) -> None:
        """See Watching."""
        if not self._was_cut_off:
            return
        self._was_cut_off = False
        users = self.attendance.rejoined()
        self._attendance_changed(users)
        for callback in self.rejoined:
            callback()
        self._consumers.watcher.rejoined()

    def came(self, node: str) -> None:
        """See Watching."""

    def lost(self, node: str) -> None:
        """See Watching."""
        self._exchange.lost(node)
        self._asking.refuse(lambda asked: asked == node)
        self._consumers.watcher.node_lost(node)

    def cut_off(self) -> None:
        """See Watching."""
        self._was_cut_off = True
        for callback in self.parted:
            callback()
        self._asking.refuse(lambda node: True)
        self._consumers.watcher.cut_off()
        self._exchange.reset()
        self._slots.reset()

    def renamed(self) -> None:
        """See Watching."""
        self._exchange.renamed()

    def dead(self, nodes: Sequence[str]) -> None:
        """See Watching."""
        self._reaper.clear(nodes)

    # Help

    def _identity(self) -> str:
        return self.members.identity

    def _attendance_changed(self, users: Sequence[str]) -> None:
        if users:
            self._consumers.watcher.attendance_changed(users)

    def _say(self, node: str, body: bytes) -> None:
        self._exchange.say(node, body)

    def _spawn(self, work: Any) -> None:
        ensureDeferred(work).addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        if isinstance(failure.value, ImError):
            self.log.debug("something was not told to other nodes: {text}", text=failure.value.text)
        else:
            self.log.failure("something was not told to other nodes", failure)


def _nothing() -> None:
    pass
