"""Several nodes' buses in one process over one real Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from imserver.backends.redis.bus import RedisBus
from imserver.backends.redis.connection import Greeting
from imserver.backends.redis.link import Redis
from imserver.backends.redis.nodes import NodeSettings
from imserver.backends.redis.settings import LinkSettings
from imserver.backends.redis.subscriber import Subscriber
from imserver.model.accounts import SessionKicked
from imserver.model.calls import Media
from imserver.model.errors import ErrorCode, ImError
from imserver.services.ports import Seat
from tests.redis.link_case import LinkCase
from tests.redis.proxy import Proxy

PATIENT = LinkSettings(timeout=60.0, first_delay=0.01, longest_delay=0.02)
PERIODS = NodeSettings(beat=1.0, lease=6.0)


class Node:
    """One node's bus, and everything it was told.

    Attributes:
        commands / channels: the ways of its two connections, which may be cut.
        told: (user, session, event, node) of what was addressed.
        events: (users, event, origin) of what was published.
        kicks: (user, sid, session, event).
        news: what was heard of other nodes.
        answers: what a request, by its type, is answered; an exception is raised.
        requests: what was asked.
        sessions: by user; `rank` of each.
    """

    def __init__(self, case: BusCase, name: str) -> None:
        self.commands = Proxy(case.pump, case.server.port)
        self.channels = Proxy(case.pump, case.server.port)
        clock, random = case.pump.clock, Random(1)
        self.redis = Redis(self.commands.where, Greeting(), clock, time.monotonic, random, PATIENT, "t:")
        self.subscriber = Subscriber(self.channels.where, Greeting(), clock, time.monotonic, random, PATIENT)
        self.bus = RedisBus(self.redis, self.subscriber, name, clock, PERIODS)
        self.mark, self.marks = f"t:0:settled-{name}", list[bytes]()
        self.subscriber.subscribe(self.mark.encode(), self.marks.extend)
        self.told: list[tuple[str, str, Any, str]] = []
        self.events: list[tuple[list[str], Any, str]] = []
        self.kicks: list[tuple[str, str, str, SessionKicked]] = []
        self.news: list[str] = []
        self.answers: dict[type, Callable[[Any], Any]] = {}
        self.requests: list[Any] = []
        self.sessions: dict[str, list[str]] = {}
        self.ranks: dict[str, int] = {}
        self.bus.attach(self._on_event, lambda *kick: self.kicks.append(kick))
        self.bus.serve(self._seats, lambda *tell: self.told.append(tell), self._handle)
        self.bus.watch(self)
        self.bus.attendance.serve(lambda user: self.ranks.get(user, 0), 3)

    @property
    def node(self) -> str:
        """What it is called now."""
        return self.bus.node

    def start(self) -> Deferred[None]:
        """Begins to connect; fires when it takes part."""
        self.redis.start()
        self.subscriber.start()
        return ensureDeferred(self.bus.start())

    def die(self) -> None:
        """As if its process were killed: nothing more is said or heard."""
        for timer in (
            self.bus.members._timer,
            self.bus._exchange._timer,
            self.bus.attendance._timer,
            self.bus.attendance._sweep_timer,
        ):
            if timer is not None and timer.active():
                timer.cancel()
        self.redis.stop()
        self.subscriber.stop()

    def seat(self, user: str, session: str) -> Seat:
        """A seat here."""
        return Seat(user, session, self.node, Media.WEBRTC)

    def take(self, what: list[Any]) -> list[Any]:
        """Empties one of the lists."""
        taken = list(what)
        what.clear()
        return taken

    def _on_event(self, users: Iterable[str], event: Any, origin: str) -> None:
        self.events.append((sorted(users), event, origin))

    async def _handle(self, request: Any) -> Any:
        self.requests.append(request)
        answer = self.answers[type(request)](request)
        if isinstance(answer, Deferred):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _seats(self, user: str) -> list[Seat]:
        return [self.seat(user, session) for session in self.sessions.get(user, [])]

    # Watcher

    def node_lost(self, node: str) -> None:
        self.news.append(f"lost {node}")

    def cut_off(self) -> None:
        self.news.append("cut off")

    def rejoined(self) -> None:
        self.news.append("rejoined")

    def missed(self, node: str) -> None:
        self.news.append(f"missed {node}")

    def attendance_changed(self, users: Sequence[str]) -> None:
        self.news.append(f"changed {' '.join(users)}")

    def came_late(self, users: Sequence[str], event: Any) -> None:
        self.news.append(f"late for {' '.join(users)}")


class BusCase(LinkCase):
    """Makes nodes; each has connections of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.nodes: list[Node] = []
        self.link = self.open_link(timeout=60.0)

    def tearDown(self) -> None:
        for node in self.nodes:
            node.die()
        self.pump.turn()

    def open_node(self, name: str) -> Node:
        """A node that takes part."""
        node = Node(self, name)
        self.nodes.append(node)
        started = node.start()
        self.pump.until(lambda: started.called, run_clock=True)
        self.successResultOf(started)
        return node

    def open_nodes(self, *names: str) -> list[Node]:
        """Nodes that know each other."""
        nodes = [self.open_node(name) for name in names]
        live = tuple(sorted(node.node for node in nodes))
        self.pump.until(lambda: all(node.bus.nodes == live for node in nodes))
        return nodes

    def until(self, done: Callable[[], Any]) -> None:
        """Until it is so; time does not pass."""
        self.pump.until(done)

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Time passes, and everything that is due is done and answered."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.settle()
            self.clock.advance(step)
        self.settle()

    def settle(self) -> None:
        """Until nothing waits for Redis and what was published has come."""
        while True:
            self.pump.until(self._quiet)
            for node in self.nodes:
                # What was published before this comes before it.
                if self.link.connected and node.subscriber.whole and not node.channels.mute:
                    node.marks.clear()
                    self.link.call("PUBLISH", node.mark, "settled").addErrback(lambda _: None)
                    self.pump.until(lambda node=node: node.marks)  # type: ignore[misc]
                elif not node.channels.mute:
                    for _ in range(5):  # it may be connecting
                        self.pump.turn(0.002)
            if self._quiet():
                return

    def _quiet(self) -> bool:
        waiting = any(node.redis.waiting for node in self.nodes if not node.commands.mute)
        return not self.pump.due() and not waiting

    def error_of(self, awaitable: Any) -> ErrorCode:
        """The refusal it ends with; time passes meanwhile."""
        try:
            result = self.wait_for(awaitable, run_clock=True)
        except ImError as error:
            return error.code
        raise AssertionError(f"not refused: {result!r}")
