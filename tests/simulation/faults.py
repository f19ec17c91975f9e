"""What goes wrong: connections, disks, clocks and whole nodes, at times that chance picks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.simulation.callers import Telephone
from tests.simulation.client import Device
from tests.simulation.history import DAY
from tests.simulation.node import Node
from tests.simulation.plan import Plan
from tests.simulation.world import World

MOST_STRAYED = DAY / 4
"""Seconds by which jumps alone may put the clock wrong: within them nobody forgets a client id."""
MOST_DAYS = 25.0
"""Within them the server still keeps revokes and receipts for devices that were away all the time."""
FAILPOINTS = (
    "before-insert",
    "after-insert",
    "before-commit",
    "after-commit",
    "before-ack",
    "after-ack",
    "before-push",
    "after-push",
    "before-index",
    "after-index",
    "send",
    "read",
)


class Faults:
    """Breaks things now and then until it is told to stop, and then mends everything."""

    def __init__(
        self, world: World, plan: Plan, nodes: list[Node], devices: Sequence[Device | Telephone]
    ) -> None:
        self.world = world
        self.plan = plan
        self.nodes = nodes
        self.devices = devices
        self.chance: Random = world.randomness("faults")
        self._stopped = False
        self._strayed = 0.0
        self._aged = 0.0
        self._kinds: list[Callable[[], None]] = []
        self._weights: list[float] = []
        for name, action in self._actions():
            if self._weight(name):
                self._kinds.append(action)
                self._weights.append(self._weight(name))

    def _weight(self, name: str) -> float:
        return self.plan.faults[name]

    def _actions(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("cut", self._cut),
            ("crash", self._crash),
            ("failpoint", self._failpoint),
            ("restart", self._restart),
            ("disk-full", self._disk_full),
            ("slow-disk", self._slow_disk),
            ("slow-reads", self._slow_reads),
            ("slow-reader", self._slow_reader),
            ("clock", self._clock),
            ("age", self._age),
        ]

    def start(self) -> None:
        """Begins."""
        if self.plan.fault_pause and self._kinds:
            self._arrange()

    def stop(self) -> None:
        """Mends everything; nothing breaks any more."""
        self._stopped = True
        for node in self.nodes:
            node.disk.mend()
            node.armed.clear()
            node.come_back()
        for device in self.devices:
            if device.connection is not None:
                device.connection.down.resume()

    def _arrange(self) -> None:
        self.world.later(round(self.chance.expovariate(1 / self.plan.fault_pause), 3), self._turn)

    def _turn(self) -> None:
        if not self._stopped:
            self.chance.choices(self._kinds, self._weights)[0]()
            self._arrange()

    def _delay(self, longest: float) -> float:
        return round(self.chance.random() * longest, 3)

    def _node(self) -> Node:
        return self.chance.choice(self.nodes)

    def _cut(self) -> None:
        connected = [device for device in self.devices if device.connection is not None]
        if not connected:
            return
        device = self.chance.choice(connected)
        device.note("cut")
        assert device.connection is not None
        # Sometimes one side goes on for long before it notices.
        server = self._delay(self.chance.choice((0.0, 0.5, 20.0)))
        client = self._delay(self.chance.choice((0.0, 0.5)))
        device.connection.cut(server, client)

    def _crash(self) -> None:
        self._down(self._node())

    def _down(self, node: Node) -> None:
        if node.up:
            node.crash("killed")

    def _failpoint(self) -> None:
        node = self._node()
        name = self.chance.choice(FAILPOINTS)
        node.armed[name] = self.chance.choice((1, 1, 2, 5))
        self.world.note(node.name, "armed", name, node.armed[name])

    def _restart(self) -> None:
        node = self._node()
        if node.up:
            node.shut_down()

    def _disk_full(self) -> None:
        self._for_a_while(self._node(), "full", 3.0)

    def _slow_disk(self) -> None:
        self._for_a_while(self._node(), "slow", 5.0)

    def _slow_reads(self) -> None:
        self._for_a_while(self._node(), "slow_reads", 5.0)

    def _for_a_while(self, node: Node, what: str, longest: float) -> None:
        disk = node.disk
        setattr(disk, what, getattr(disk, what) + 1)
        self.world.note(node.name, f"disk: {what} begins")

        def over() -> None:
            if getattr(disk, what):
                setattr(disk, what, getattr(disk, what) - 1)
            self.world.note(node.name, f"disk: {what} ends")

        self.world.later(0.001 + self._delay(longest), over)

    def _slow_reader(self) -> None:
        connected = [device for device in self.devices if device.connection is not None]
        if not connected:
            return
        device = self.chance.choice(connected)
        connection = device.connection
        assert connection is not None
        device.note("reads nothing")
        connection.down.pause()
        # Longer than the server's patience now and then.
        self.world.later(self._delay(self.chance.choice((2.0, 10.0, 45.0))), self._reads_again, device)

    def _reads_again(self, device: Device | Telephone) -> None:
        if device.connection is not None:
            device.note("reads again")
            device.connection.down.resume()

    def _clock(self) -> None:
        jump = self.chance.choice((-3600.0, -30.0, -1.0, 0.5, 40.0, 7200.0))
        if abs(self._strayed + jump) > MOST_STRAYED:
            jump = -jump
        self._strayed += jump
        self.world.wall_offset += jump
        self.world.note("clock", f"jumps by {jump}")

    def _age(self) -> None:
        """Days pass. Client ids are forgotten by then, so nobody may be about to retry one."""
        for device in self.devices:
            if device.connection is not None:
                device.connection.cut(0.0, 0.0)
        self.world.later(0.01, self._days_later)

    def _days_later(self) -> None:
        if any(device.connection is not None for device in self.devices):
            return  # somebody was quicker; another time
        days = self.chance.choice((1.5, 3.0))
        if self._aged + days > MOST_DAYS:
            return
        self._pass_days(days)
        for device in self.devices:
            device.grow_old()
        self.world.note("clock", f"{days} days pass")

    def _pass_days(self, days: float) -> None:
        self._aged += days
        self.world.wall_offset += days * DAY
