"""Three nodes over one Redis under load: nodes die or go, Redis dies or stands still, connections are cut.

Whatever was acknowledged is in every inbox once, in order, and nothing else is; everybody who
listens is told everything.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.threads import deferToThread

from tests.clients.rest_client import RestClient
from tests.e2e.chaos import FORMATS, Listener, Speaker, World
from tests.e2e.chaos_checker import check
from tests.e2e.nodes import settings
from tests.e2e.people import JsonLinePerson, Person, ProtobufPerson, Row
from tests.e2e.server import Server, sleep
from tests.effort import effort, seeds
from tests.redis.forwarder import Forwarder
from tests.redis.server import RedisServer

USERS = tuple(f"user{number}" for number in range(6))
NODES = 3
FAULTS = effort(7, 7, 10)
ROUNDS = effort(2, 20, 20)
TIMEOUT = 2.0
"""Seconds a command to Redis may take here."""
PATIENCE = 120.0


class Cluster:
    """The nodes, each with a forwarder of its own in front of the one Redis."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.redis = RedisServer(folder / "redis", aof="always")
        self.forwarders: list[Forwarder] = []
        self.nodes: list[Server] = []
        self.report: list[str] = []
        (folder / "keys").mkdir()
        for number in range(NODES):
            forwarder = Forwarder(self.redis.port)
            name, url = f"node{number}", f"redis://127.0.0.1:{forwarder.port}/0"
            overrides = (
                *settings(folder, name, url),
                f"store.timeout_seconds={TIMEOUT}",
                "shutdown.drain_seconds=1",
            )
            self.forwarders.append(forwarder)
            self.nodes.append(Server(folder / name, overrides=overrides))

    async def start(self) -> None:
        """Everything."""
        self.redis.start()
        for node in self.nodes:
            await node.start()

    def close(self) -> None:
        """Everything, whatever happened."""
        for node in self.nodes:
            node.close()
        for forwarder in self.forwarders:
            forwarder.close()
        self.redis.close()

    async def ready(self) -> None:
        """Waits until every node says that it is."""
        for node in self.nodes:
            for _ in range(600):
                # On another thread: what the node asks Redis passes through this one.
                rest = RestClient(node.port("/meeting"))
                if (await deferToThread(rest.get, "/readyz")).status == 200:
                    break
                await sleep(0.1)
            else:
                raise AssertionError(f"not ready:\n{node.output()[-4000:]}")

    # Faults; each ends with everything whole again

    async def node_dies(self) -> None:
        """SIGKILL; it comes back."""
        node = self.chance.choice(self.nodes)
        node.kill()
        await sleep(self.chance.uniform(0.0, 1.5))
        await node.start()

    async def node_goes_down(self) -> None:
        """SIGTERM, as in a rolling restart: it sends its clients away, and comes back."""
        node = self.chance.choice(self.nodes)
        await node.stop()
        await node.start()

    async def node_stands_still(self) -> None:
        """SIGSTOP, sometimes so long that the others take it for lost."""
        node = self.chance.choice(self.nodes)
        os.kill(node.pid, signal.SIGSTOP)
        await sleep(self.chance.choice((0.3, 2.0, 9.0)) * self.chance.uniform(0.8, 1.2))
        os.kill(node.pid, signal.SIGCONT)

    async def redis_stands_still(self) -> None:
        """SIGSTOP, for less or more than a command may take."""
        self.redis.pause()
        await sleep(self.chance.uniform(0.1, 2.0) * TIMEOUT)
        self.redis.go_on()

    async def redis_dies(self) -> None:
        """SIGKILL; it comes back with what is in its file."""
        self.redis.kill()
        await sleep(self.chance.uniform(0.0, 1.5))
        self.redis.start()

    async def connections_are_cut(self) -> None:
        """Those of all nodes, or of some; nobody gets through for a while."""
        for forwarder in self.some_forwarders():
            forwarder.closed = True
            forwarder.cut()
        await sleep(self.chance.choice((0.0, 0.5, 2.0)))
        self.heal()

    async def connections_stand_still(self) -> None:
        """Nothing passes, and nobody is told; then it passes, or is lost after all."""
        chosen = self.some_forwarders()
        for forwarder in chosen:
            forwarder.stand_still()
        await sleep(self.chance.uniform(0.1, 2.0) * TIMEOUT)
        if self.chance.random() < 0.5:
            for forwarder in chosen:
                forwarder.cut()
        self.heal()

    def some_forwarders(self) -> list[Forwarder]:
        """At least one."""
        return self.chance.sample(self.forwarders, self.chance.randint(1, NODES))

    def heal(self) -> None:
        """Everything passes."""
        for forwarder in self.forwarders:
            forwarder.heal()

    async def fall_silent(self, world: World, listener: Listener) -> None:
        """Nobody talks any more once a listener's node has not heard the others: nothing shows it the gap."""
        assert listener.node is not None
        forwarder = self.forwarders[self.nodes.index(listener.node)]
        forwarder.closed = True
        forwarder.cut()
        await sleep(0.5)
        world.ending = True
        await sleep(self.chance.uniform(0.0, 1.0))
        self.heal()

    async def suffer(self) -> None:
        """One fault after another, each kind at least once before any comes again."""
        kinds = [
            self.node_dies,
            self.node_goes_down,
            self.node_stands_still,
            self.redis_stands_still,
            self.redis_dies,
            self.connections_are_cut,
            self.connections_stand_still,
        ]
        coming: list[str] = []
        for _ in range(FAULTS):
            if not coming:
                coming = self.chance.sample([kind.__name__ for kind in kinds], len(kinds))
            name = coming.pop()
            self.report.append(name)
            await getattr(self, name)()
            await sleep(self.chance.uniform(0.0, 1.0))


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three nodes and their Redis."""
    made = Cluster(tmp_path, random.Random(request.node.callspec.params["seed"]))
    try:
        pytest_twisted.blockon(Deferred.fromCoroutine(made.start()))
        yield made
    finally:
        made.close()
        pytest_twisted.blockon(sleep(0.1))  # what was cut has to be let go of


@asynccontextmanager
async def connected(server: Server, person: Person) -> AsyncIterator[Person]:
    """Somebody for a moment."""
    await person.log_in(server)
    yield person
    await person.log_out()


async def read(cluster: Cluster, user: str) -> list[Row]:
    """A whole inbox, in two formats from two nodes; it must be the same."""
    views = []
    first, second = cluster.chance.sample(cluster.nodes, 2)
    for server, person in ((first, ProtobufPerson(user, "reader")), (second, JsonLinePerson(user, "reader"))):
        async with connected(server, person) as reader:
            views.append(await reader.inbox())
    assert views[0] == views[1], f"{user}: sync and history differ"
    return views[0]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("seed", seeds(ROUNDS))
async def test_nothing_acknowledged_is_lost(cluster: Cluster, seed: int) -> None:
    print(f"chaos: IMSERVER_SEED={seed}")
    owner = JsonLinePerson(USERS[0])
    # Chance of its own: the same faults in the same order for one seed, whatever the load meets.
    world = World(random.Random(~seed), cluster.nodes, USERS)
    async with connected(cluster.nodes[0], owner):
        for user in USERS:
            async with connected(cluster.nodes[1], JsonLinePerson(user)):
                pass
        for group, members in world.groups.items():
            await owner.make_group(group, list(members))

    speakers = [Speaker(world, FORMATS[n % len(FORMATS)], user) for n, user in enumerate(USERS)]
    listeners = [Listener(world, FORMATS[(n + 1) % len(FORMATS)], user) for n, user in enumerate(USERS)]
    listening = [ensureDeferred(listener.run()) for listener in listeners]
    speaking = [worker for speaker in speakers for worker in speaker.run()]
    await sleep(0.5)
    await cluster.suffer()
    await cluster.ready()
    await sleep(0.5)
    await cluster.fall_silent(world, cluster.chance.choice(listeners))
    await cluster.ready()
    await gatherResults(speaking, consumeErrors=True)
    await gatherResults(listening, consumeErrors=True)

    inboxes = {user: await read(cluster, user) for user in USERS}
    waited = 0.0
    while waited < PATIENCE and any(len(inboxes[one.user]) > one.told for one in listeners):
        for listener in listeners:
            await listener.look()
        await sleep(0.1)
        waited += 0.1
    for listener in listeners:
        await listener.look()
    print(
        f"{', '.join(cluster.report)}: {len(world.sendings)} messages, {world.refusals} refusals, "
        f"{world.lost} connections lost"
    )
    wrong = world.faults + check(world.sendings, inboxes, listeners)
    assert not wrong, "\n".join(wrong[:20])
    for person in (*(speaker.person for speaker in speakers), *(one.person for one in listeners)):
        await person.log_out()
    for node in cluster.nodes:
        await node.stop()
