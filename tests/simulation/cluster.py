"""Three nodes over one Redis, in the same world, under the same checker as one node.

Clients, workload and judge are those of a single node. `redis_host` is the Redis, `redis_links` what lies
between it and the nodes, `cluster_faults` what goes wrong there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import ensureDeferred

from imserver.backends.embedded.database import MemoryDatabase
from imserver.backends.redis import exchange, feed
from imserver.backends.redis.cellar import Place, RedisCellar
from imserver.backends.redis.nodes import NodeSettings
from imserver.backends.redis.settings import LinkSettings, StoreSettings
from tests.simulation.callers import CALLERS
from tests.simulation.cluster_faults import ClusterFaults, ClusterPlan
from tests.simulation.history import History, Membership
from tests.simulation.network import Connection, Poller
from tests.simulation.node import Node, SimulatedThreads
from tests.simulation.plan import Plan
from tests.simulation.redis_host import RedisHost
from tests.simulation.redis_links import Switchboard, Way
from tests.simulation.simulation import Simulation
from tests.simulation.world import World

NODES = 3
PERIODS = NodeSettings(beat=1.0, lease=3.0)
DRAIN_SECONDS = 1.0
LATE = 20.0
"""Seconds after which everybody has been told how everybody looks, whatever went wrong."""

ClusterNodeMaker = Callable[[World, History, Plan, int, Switchboard, ClusterPlan], "ClusterNode"]


class ClusterNode(Node):
    """One of several servers.

    Attributes:
        board: where it finds Redis.
        way: its present life's way there.
    """

    def __init__(
        self,
        world: World,
        history: History,
        plan: Plan,
        number: int,
        board: Switchboard,
        cluster: ClusterPlan,
    ) -> None:
        super().__init__(world, history, plan, number, MemoryDatabase())
        self.board = board
        self.cluster = cluster
        self.way: Way

    def start(self) -> None:
        """Begins to look for Redis; listens once it takes part."""
        world, engine = self.world, self.plan.settings
        self.started += 1
        self.poller = poller = Poller(world, self.name)
        self.way = Way(self.board, poller)
        cellar = RedisCellar(
            Place(self.way.where),
            f"{self.name}-{self.started}",
            poller,
            poller.seconds,
            world.wall_time,
            self._bytes,
            link=LinkSettings(
                timeout=2.0,
                ping_seconds=0.5,
                first_delay=0.05,
                longest_delay=0.5,
                queue_commands=self.cluster.queue_commands,
            ),
            nodes=PERIODS,
            settings=StoreSettings(
                sends_per_second=engine.sends_per_second,
                send_burst=engine.send_burst,
                broadcast_seconds=engine.broadcast_seconds,
                dedupe_seconds=engine.dedupe_seconds,
                retention_seconds=engine.retention_seconds,
                conversation_names=engine.conversation_names,
                fanout_users=engine.fanout_users,
                tick_seconds=engine.tick_seconds,
            ),
        )
        self._graveyard.append((poller, cellar))
        world.note(self.name, "begins", f"life={self.started}")
        ensureDeferred(self._begin(cellar)).addErrback(self._refused, "it could not be opened")

    async def _begin(self, cellar: RedisCellar) -> None:
        await cellar.open()
        threads = SimulatedThreads(self.poller, self.disk)
        self._serve(cellar, cellar.directory, threads, nonces=cellar.nonces, answers=cellar.answers)

    def crash(self, where: str) -> None:
        """Dies on the spot; comes back after a while."""
        if self.poller.alive:
            super().crash(where)
            self.way.died()

    def _went_down(self) -> None:
        self.up = False
        self.world.later(round(self._chance.random() * 2.0, 3), self.come_back)

    def dial(self, *arguments: Any) -> Connection | None:
        """A client connects; nobody accepts it while the node stands still."""
        return None if self.poller.stopped else super().dial(*arguments)

    def shut_down(self) -> None:
        """Is drained and stops in good order."""
        if self.poller.stopped:
            return
        self.cellar.bus.retire()
        self.doors.drain(DRAIN_SECONDS)
        super().shut_down()

    def _stopped(self, result: Any) -> None:
        super()._stopped(result)
        self.way.died()

    def calls_left(self) -> list[str]:
        """What it still thinks of calls, where there should be none."""
        calls = self.hub.calls
        home = calls._home
        left = []
        if home._by_pair or home._preparing or home._lanes:
            left.append(f"{self.name}: calls that never end: {list(home._by_pair)}")
        if calls._sessions.media._links:
            left.append(f"{self.name}: media of calls that ended: {calls._sessions.media._links}")
        return left

    def verify(self) -> list[str]:
        """What should not be, once nothing breaks any more."""
        if not self.up:
            return [f"{self.name}: it does not run"]
        cellar, board = self.cellar, self.board
        nodes = sorted(node.decode() for node in board.host.ask("HKEYS", "im:nodes"))
        found = []
        if list(cellar.bus.nodes) != nodes or len(nodes) != NODES:
            found.append(f"it takes part with {cellar.bus.nodes}, Redis knows {nodes}")
        if not cellar.core.hearing:
            found.append("it does not hear the feed")
        # An entry whose answer was lost may wait until the connection is lost again.
        unheard = [one for one in cellar.core.own_sends._half.values() if one is not None]
        if unheard:
            found.append(f"sends of its own that were never heard of: {unheard}")
        if cellar.bus._asking._asked or self.hub.delivery._unread:
            found.append("it still waits for others, or for what it could not read")
        for node, outgoing in cellar.bus._exchange._outgoing.items():
            # For a node that came and went unseen something may be kept for a while.
            if outgoing.kept and node in cellar.bus.nodes:
                found.append(f"{len(outgoing.kept)} frames that {node} never got")
        return [f"{self.name}: {fault}" for fault in found]

    def misplaced(self) -> list[str]:
        """Users who are here and not entered, or the other way round; the way to Redis takes a while."""
        if not self.up:
            return []
        found = []
        for user in self.history.users:
            entered = bool(self.board.host.ask("HEXISTS", f"im:at:{user}", self.cellar.bus.node))
            if entered != bool(self.hub.registry.of(user)):
                found.append(f"{self.name}: {user} is here: {not entered}, entered: {entered}")
        return found


class Cluster(Simulation):
    """One world of several nodes.

    Args:
        seed: decides everything.
        port: of a redis-server that nobody else uses meanwhile.
        make_node: makes the servers; tests put broken ones here.
        verify: look at what nodes and Redis have in the end, too.
        calls: some runs have telephones, too.
    """

    def __init__(
        self,
        seed: int | str,
        port: int,
        make_node: ClusterNodeMaker = ClusterNode,
        verify: bool = True,
        calls: bool = True,
    ) -> None:
        self._port = port
        self._make_node = make_node
        self._look_inside = verify
        super().__init__(f"cluster/{seed}", verify=False, calls=calls)
        self.call_history.life = self._life
        self.call_history.several = True

    def _make_nodes(self, make_node: Any) -> list[Node]:
        world = self.world
        self.cluster = ClusterPlan(world.randomness("cluster"))
        self.plan.pause, self.plan.fault_pause = self.cluster.pause, self.cluster.fault_pause
        self.host = RedisHost(world, self._port)
        self.host.after.append(self._witness)
        self.board = Switchboard(world, self.host, self.cluster.latency)
        return [
            self._make_node(world, self.history, self.plan, number, self.board, self.cluster)
            for number in range(NODES)
        ]

    def _make_faults(self) -> ClusterFaults:
        return ClusterFaults(self.world, self.plan, self.nodes, self.everybody, self.board, self.cluster)

    def run(self) -> list[str]:
        """See Simulation."""
        try:
            with _tuned(self.plan):
                return super().run()
        finally:
            self.host.close()

    def _open(self) -> None:
        for node in self.nodes:
            node.start()
        while not all(node.up for node in self.nodes):
            self.world.run(self.world.now + 0.1)
        people = [*self.history.users, *(CALLERS if self.telephones else ())]
        self.nodes[0].run(self.nodes[0].create_people(people))

    def _life(self) -> int:
        """Another number whenever a node has begun, or begun anew: calls may have ended without a record."""
        lives = 0
        for node in self.nodes:
            lives += node.started
            if node.cellar is not None:
                lives += node.cellar.bus.members._joins
        return lives

    def _look_at_everything(self) -> None:
        super()._look_at_everything()
        self._settle(LATE)
        misplaced = self._misplaced() if self._look_inside else set()
        if misplaced:  # links end at any moment, and the way to Redis takes a while
            self._settle(LATE)
            misplaced &= self._misplaced()
        self.call_history.left = [fault for node in self.nodes for fault in node.calls_left()]
        busy = self.host.ask("KEYS", "im:sl:busy/*")
        if busy:
            self.call_history.left.append(f"slots of calls that ended: {sorted(busy)}")
        if self._look_inside:
            # Links that nobody speaks over any more end at any moment, also at the last.
            before = self.host.time() - LATE
            unannounced = self.host.ask("ZRANGEBYSCORE", "im:late", "-inf", before)
            self.history.verified = [f"{user.decode()} looks otherwise than was told" for user in unannounced]
            self.history.verified += [fault for one in self.nodes for fault in one.verify()]
            self.history.verified += sorted(misplaced)

    def _misplaced(self) -> set[str]:
        nodes: list[Any] = self.nodes
        return {fault for node in nodes for fault in node.misplaced()}

    def _witness(self, script: bytes) -> None:
        """Who is a member of what, after a script that may change it."""
        if b"'gm:'" not in script or b"'RPUSH'" in script:
            return
        history, step = self.history, self.world.step
        for key in self.host.ask("KEYS", "im:gm:*"):
            history.members.setdefault(key.decode().removeprefix("im:gm:"), set())
        for group, members in history.members.items():
            now = {user.decode() for user in self.host.ask("ZRANGE", f"im:gm:{group}", 0, -1)}
            for user in sorted(now ^ members):
                history.memberships.append(Membership(group, user, user in now, step, step, True))
            history.members[group] = now


@contextmanager
def _tuned(plan: Plan) -> Iterator[None]:
    """Makes constants small, so that what they bound happens."""
    before = (feed.REPAIRED_AT_ONCE, exchange.HAVE_FRAMES)
    feed.REPAIRED_AT_ONCE = exchange.HAVE_FRAMES = plan.page_rows
    try:
        yield
    finally:
        feed.REPAIRED_AT_ONCE, exchange.HAVE_FRAMES = before
