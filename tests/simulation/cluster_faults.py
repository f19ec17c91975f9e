"""What goes wrong between nodes and their Redis, at times that chance picks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.simulation.callers import Telephone
from tests.simulation.client import Device
from tests.simulation.faults import Faults
from tests.simulation.node import Node
from tests.simulation.plan import Plan
from tests.simulation.redis_links import Switchboard, Way
from tests.simulation.world import Realm, World

_WEIGHTS = {
    "cut": 4.0,
    "crash": 2.0,
    "failpoint": 1.0,
    "restart": 1.0,
    "slow-reader": 2.0,
    "clock": 1.0,
    "age": 1.0,
    "link-cut": 4.0,
    "deaf": 4.0,
    "mute": 4.0,
    "stuck": 3.0,
    "away": 2.0,
    "stands-still": 2.0,
    "at-script": 8.0,
    "redis-restart": 1.0,
    "redis-still": 1.0,
    "forgets": 1.0,
}


class ClusterPlan:
    """What is drawn for several nodes beside `Plan`.

    Attributes:
        weights: of each kind of fault.
        latency: longest delay between a node and Redis, seconds.
        queue_commands: what may wait for Redis' answers.
        pause / fault_pause: as those of `Plan`; nodes that lose each other take their time.
    """

    def __init__(self, chance: Random) -> None:
        self.weights = {
            name: weight * chance.choice((0.0, 0.0, 1.0, 3.0)) for name, weight in _WEIGHTS.items()
        }
        self.latency = chance.choice((0.0, 0.005, 0.05, 0.2))
        self.queue_commands = chance.choice((40, 100_000, 100_000))
        self.pause = chance.choice((0.1, 0.5, 1.0))
        self.fault_pause = chance.choice((0.0, 0.4, 0.8, 2.0))


class ClusterFaults(Faults):
    """Breaks things now and then until it is told to stop, and then mends everything."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        nodes: list[Node],
        devices: Sequence[Device | Telephone],
        board: Switchboard,
        cluster: ClusterPlan,
    ) -> None:
        self.board = board
        self._cluster = cluster
        super().__init__(world, plan, nodes, devices)

    def _weight(self, name: str) -> float:
        return self._cluster.weights[name]

    def _actions(self) -> list[tuple[str, Callable[[], None]]]:
        common = [(name, action) for name, action in super()._actions() if name in _WEIGHTS]
        return [
            *common,
            ("link-cut", self._cut_commands),
            ("deaf", self._deafen),
            ("mute", self._mute),
            ("stuck", self._get_stuck),
            ("away", self._away),
            ("stands-still", self._stop),
            ("at-script", self._at_script),
            ("redis-restart", self._restart_redis),
            ("redis-still", self._redis_stands_still),
            ("forgets", self._forget_scripts),
        ]

    def stop(self) -> None:
        """Mends everything; nothing breaks any more."""
        self._begin_redis()
        self._redis_goes_on()
        for node in self.nodes:
            self._go_on(node, node.poller)
        super().stop()
        for node in self.nodes:
            way = self._way(node)
            way.armed.clear()
            way.refused = False
            way.speak()

    @staticmethod
    def _way(node: Node) -> Way:
        way: Way = node.way  # type: ignore[attr-defined]
        return way

    def _pass_days(self, days: float) -> None:
        super()._pass_days(days)
        self.board.host.aged = self._aged * 86_400.0

    def _failpoint(self) -> None:
        node = self._node()
        node.armed["send"] = self.chance.choice((1, 2, 5, 20))
        self.world.note(node.name, "armed", "send", node.armed["send"])

    def _notice(self) -> float | None:
        """When a node knows that a connection broke; None: it has to find out."""
        return self.chance.choice((0.0, 0.0, 0.05, 0.5, None))

    def _cut_commands(self) -> None:
        self._break(self._node(), False)

    def _deafen(self) -> None:
        self._break(self._node(), True)

    def _break(self, node: Node, listening: bool | None) -> None:
        what = {True: "channels", False: "commands", None: "Redis"}[listening]
        self.world.note(node.name, f"loses its connection: {what}")
        self._way(node).cut(self._notice, listening)

    def _mute(self) -> None:
        node = self._node()
        way = self._way(node)
        self.world.note(node.name, "hears nothing of Redis, and Redis nothing of it")
        way.mute = True
        self.world.later(0.001 + self._delay(self.chance.choice((1.0, 6.0, 15.0))), self._speak, node, way)

    def _speak(self, node: Node, way: Way) -> None:
        if way.mute:
            self.world.note(node.name, "hears of Redis again")
            way.speak()

    def _get_stuck(self) -> None:
        """Nothing passes on one connection, while others can be opened."""
        way = self._way(node := self._node())
        if way.passages:
            passage = self.chance.choice(way.passages)
            self.world.note(node.name, "one of its connections is stuck")
            passage.stuck = True
            self.world.later(0.001 + self._delay(self.chance.choice((1.0, 6.0))), passage.come_loose)

    def _away(self) -> None:
        node = self._node()
        way = self._way(node)
        self.world.note(node.name, "cannot reach Redis")
        way.refused = True
        way.cut(self._notice)
        self.world.later(0.001 + self._delay(self.chance.choice((1.0, 8.0))), self._reaches, node, way)

    def _reaches(self, node: Node, way: Way) -> None:
        if way.refused:
            self.world.note(node.name, "can reach Redis")
            way.refused = False

    def _stop(self) -> None:
        node = self._node()
        realm = node.poller
        if realm.alive and not realm.stopped:
            self.world.note(node.name, "stands still")
            realm.stop()
            self.world.later(0.001 + self._delay(self.chance.choice((1.0, 8.0))), self._go_on, node, realm)

    def _go_on(self, node: Node, realm: Realm) -> None:
        if realm.alive and realm.stopped:
            self.world.note(node.name, "goes on")
            realm.go_on()

    def _at_script(self) -> None:
        """At one of the next scripts of a node something breaks, just before or just after it runs."""
        node = self._node()
        way, other = self._way(node), self._node()
        early = self.chance.random() < 0.5
        kind = self.chance.choice(("dies", "commands", "channels", "Redis", "another is deaf"))

        def happen() -> None:
            if kind == "dies":
                node.crash(f"{'before' if early else 'after'} a script ran")
            elif kind == "another is deaf":
                self._break(other, True)
            else:
                self._break(node, {"commands": False, "channels": True, "Redis": None}[kind])

        way.armed.append((self.chance.choice((1, 2, 4, 8)), early, happen))

    def _restart_redis(self) -> None:
        if not self.board.down:
            self.world.note("redis", "ends")
            self.board.stop(lambda: self.chance.choice((0.0, 0.01, 0.3)))
            self.world.later(0.001 + self._delay(3.0), self._begin_redis)

    def _begin_redis(self) -> None:
        if self.board.down:
            self.world.note("redis", "begins")
            self.board.begin()

    def _redis_stands_still(self) -> None:
        if not self.board.still:
            self.world.note("redis", "stands still")
            self.board.still = True
            self.world.later(0.001 + self._delay(self.chance.choice((1.0, 6.0))), self._redis_goes_on)

    def _redis_goes_on(self) -> None:
        if self.board.still:
            self.world.note("redis", "goes on")
            self.board.go_on()

    def _forget_scripts(self) -> None:
        self.world.note("redis", "forgets all scripts")
        self.board.host.forget()
