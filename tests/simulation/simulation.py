"""One run: a world is built from a seed, lives, comes to rest, and is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imserver.backends.embedded.database import MemoryDatabase
from imserver.model.ids import group_name, single_name
from imserver.model.messages import InboxRow, ReadHistory
from tests.simulation.call_checker import CallChecker
from tests.simulation.callers import CALLERS, CallHistory, Chatter, Telephone
from tests.simulation.checker import Checker
from tests.simulation.client import JSONLINE, PROTOBUF, Device, Habits, Person
from tests.simulation.faults import Faults
from tests.simulation.history import FinalView, History
from tests.simulation.logs import Logs
from tests.simulation.network import Connection, Manner
from tests.simulation.node import CALLS, Node
from tests.simulation.plan import Plan
from tests.simulation.tuning import tuned
from tests.simulation.workload import Workload
from tests.simulation.world import StandstillError, World

LONGEST = 300.0
"""Seconds of the world's time after which a run comes to rest, whatever was still to be done."""
QUIET = 3.0
"""Seconds without a byte that arrives, after which nothing is under way: longer than any delay."""
HEARTBEAT = 30.0
"""Seconds between the pings of a device that has nothing else to say: a server drops the silent."""
SETTLING = 2000
"""Stretches of QUIET after which a world that still moves is thought to go round in circles: peers
with the slowest links need half an hour of its time for what they asked for."""
USERS = ("alice", "bob", "carol", "dave", "eve")

NodeMaker = Callable[[World, History, Plan, int, MemoryDatabase], Node]


class Simulation:
    """One world.

    Args:
        seed: decides everything.
        make_node: makes the servers; tests put broken ones here.
        verify: ask the engine's own check, too.
        calls: some runs have telephones, too.
    """

    def __init__(
        self, seed: int | str, make_node: NodeMaker = Node, verify: bool = True, calls: bool = True
    ) -> None:
        self.seed = seed
        self.verify = verify
        self.world = World(seed)
        self.history = History()
        self.plan = Plan(self.world.randomness("plan"))
        self.history.users = list(USERS[: self.plan.users])
        if calls:
            self.plan.draw_telephones(self.world.randomness("telephones"))
        self.nodes = self._make_nodes(make_node)
        self.people = {user: Person(user) for user in self.history.users}
        self.devices = [
            self._device(self.history.users[index], format, name, self.plan.habits())
            for index, format, name in self.plan.devices
        ]
        self.call_history = CallHistory(life=lambda: self.nodes[0].started, forgets=bool(self.plan.retention))
        self.telephones = [
            Telephone(
                self.world,
                self.call_history,
                self,
                CALLERS[index],
                format,
                name,
                self.world.randomness(f"telephone/{index}/{name}"),
            )
            for index, format, name in self.plan.telephones
        ]
        self.everybody: list[Device | Telephone] = [*self.devices, *self.telephones]
        self.workload = Workload(self.world, self.history, self.plan, self.devices)
        self.chatter = Chatter(self.world, self.telephones, self.plan.call_actions, self.plan.call_pause)
        self.faults = self._make_faults()
        self.violations: list[str] = []

    def _make_nodes(self, make_node: NodeMaker) -> list[Node]:
        return [make_node(self.world, self.history, self.plan, 0, MemoryDatabase())]

    def _make_faults(self) -> Faults:
        return Faults(self.world, self.plan, self.nodes, self.everybody)

    def _device(self, user: str, format: str, name: str, habits: Habits) -> Device:
        chance = self.world.randomness(f"{user}/{format}/{name}")
        return Device(self.world, self.history, self, self.people[user], format, name, chance, habits)

    def dial(
        self,
        format: str,
        received: Callable[[bytes], None],
        lost: Callable[[], None],
        manner: Manner | None,
    ) -> Connection | None:
        """See client.Dialler: any node that is up."""
        up = [node for node in self.nodes if node.up]
        return self.world.chance.choice(up).dial(format, received, lost, manner) if up else None

    def run(self) -> list[str]:
        """Lives the whole run; returns what was wrong, in words."""
        with tuned(self.plan), Logs() as logs:
            try:
                self._live()
            except StandstillError as error:
                self.history.faults.append(str(error))
            self.history.faults.extend(logs.failures)
        self.violations = Checker(self.history).run() + CallChecker(self.call_history).run()
        return self.violations

    def _live(self) -> None:
        world = self.world
        self._open()
        self.workload.start()
        self.chatter.start()
        self.faults.start()
        while not (self.workload.done and self.chatter.done) and world.now < LONGEST:
            world.run(world.now + 1.0)
        self.workload.stop()
        self.chatter.stop()
        self.faults.stop()
        self._come_to_rest()
        self._look_at_everything()

    def _open(self) -> None:
        for node in self.nodes:
            node.start()
        people = [*self.history.users, *(CALLERS if self.telephones else ())]
        self.nodes[0].run(self.nodes[0].create_people(people))

    def _settle(self, least: float = 0.0) -> None:
        """Lets the world run until nobody has said anything for a while."""
        world = self.world
        world.run(world.now + least)
        ping_at = world.now + HEARTBEAT
        for _ in range(SETTLING):
            before = world.deliveries
            world.run(world.now + QUIET)
            if world.deliveries == before:
                return
            if world.now >= ping_at:
                # Others may have the slowest of links; whoever is done before them stays.
                ping_at = world.now + HEARTBEAT
                for device in self.everybody:
                    device.ping()
        self.history.faults.append("the world never comes to rest")

    def _come_to_rest(self) -> None:
        """Nothing breaks any more: everybody connects, retries, and hears what was missed."""
        world = self.world
        world.note("world", "faults end")
        # Long enough for the server to have noticed every lost connection.
        self._settle(20.0)
        self._everybody_online()
        for _ in range(6):
            if not any(device.can_retry for device in self.devices):
                break
            for device in self.devices:
                device.retry_all()
            self._settle()
        # Some come back once more: now the backlog is all that they are told.
        for device in self.devices:
            if device.chance.random() < 0.5:
                device.hang_up()
        self._everybody_online()
        if self.telephones:
            # Whatever was still talked about ends with its time.
            self._settle(CALLS.ring_seconds + CALLS.max_seconds + 10.0)
        self.history.rested = world.step
        world.note("world", "at rest")

    def _everybody_online(self) -> None:
        for _ in range(4):
            for device in self.everybody:
                device.connect()
            self._settle()
            if all(device.state == "online" for device in self.everybody):
                return
        offline = [f"{device.user}/{device.name}" for device in self.everybody if device.state != "online"]
        self.history.faults.append(f"could not come online: {offline}")

    def _look_at_everything(self) -> None:
        node = self.nodes[0]
        views: dict[str, FinalView] = {}
        auditors: list[Device] = []
        for user in self.history.users:
            views[user] = FinalView(user)
            for format in (PROTOBUF, JSONLINE):
                auditor = self._device(user, format, "auditor", Habits(0.0, 0.0, 0.0, 0.0, 0.0))
                auditor.on_online = _Audit(auditor, views[user], self.history).begin
                auditor.manner = Manner(latency=0.002)
                auditors.append(auditor)
                auditor.connect()
        self._settle()
        missing = [f"{auditor.user}/{auditor.format}" for auditor in auditors if not auditor.finished]
        if missing:
            self.history.faults.append(f"the inboxes could not be read in the end: {missing}")
        for user, view in views.items():
            view.stored = node.run(node.inbox(user))
            view.head, view.first_seq = node.run(node.cellar.store.head(user))
            self.history.finals[user] = view
        for link in self.history.links:
            if link.logged_in is not None and link.device != "auditor":
                cursor = node.run(node.cellar.store.cursor(link.user, link.format, link.device))
                self.history.cursors[link.user, link.format, link.device] = cursor.acked
        for group in self.history.members:
            record = node.run(node.cellar.directory.group(group))
            if record is not None:
                self.history.members[group] = {member.user for member in record.group.members}
        for user in CALLERS if self.telephones else ():
            for record in node.run(node.call_records(user)):
                self.call_history.records[record.call] = record
        self.call_history.left = node.calls_left()
        if self.verify:
            self.history.verified = [fault for one in self.nodes for fault in one.verify()]


class _Audit:
    """Reads everything one user may see, by one format."""

    def __init__(self, auditor: Device, view: FinalView, history: History) -> None:
        self._auditor = auditor
        self._view = view
        self._history = history
        self._scopes: list[tuple[str, ReadHistory]] = []

    def begin(self) -> None:
        """The auditor is logged in."""
        auditor = self._auditor
        if auditor.format == PROTOBUF:
            auditor.sync(0, self._done, rows=self._view.synced)
            return
        user = self._view.user
        for peer in self._history.users:
            self._scopes.append((single_name(user, peer), ReadHistory(recipient=peer)))
        for group in self._history.members:
            self._scopes.append((group_name(group), ReadHistory(group=group)))
        auditor.read_history(ReadHistory(limit=50), "inbox", then=self._whole_inbox)

    def _whole_inbox(self, rows: Any) -> None:
        if isinstance(rows, list):
            self._view.listed = rows
        self._next()

    def _next(self) -> None:
        if not self._scopes:
            self._done()
            return
        scope, query = self._scopes.pop()

        def read(rows: list[InboxRow] | Any) -> None:
            if isinstance(rows, list):
                self._view.conversations[scope] = rows
            else:
                self._view.refused[scope] = rows
            self._next()

        self._auditor.read_history(query, scope, then=read)

    def _done(self) -> None:
        self._auditor.finished = True
