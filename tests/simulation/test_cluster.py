"""Three nodes over one Redis: histories without a violation, and broken nodes that are caught."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from hashlib import sha1
from pathlib import Path

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.redis.link_case import shared_server
from tests.simulation.cluster import NODES, Cluster, ClusterNode
from tests.simulation.cluster_mutations import MUTATIONS
from tests.simulation.mutations import add_tests, broken_nodes
from tests.simulation.redis_host import RedisHost, pack
from tests.simulation.redis_links import Switchboard, Way
from tests.simulation.run import report, run_seed
from tests.simulation.world import Realm, World

ROOT = Path(__file__).parents[2]
FIXED = range(1, 21)
RANDOM_RUNS = 10
SEEDS_PER_MUTATION = 60


class HistoriesTests(SynchronousTestCase):
    """The nodes keep the promises of one."""

    def check(self, seeds: range) -> None:
        """Runs these histories."""
        for seed in seeds:
            simulation, violations = run_seed(seed, redis_port=shared_server().port)
            if violations:
                report(seed, violations, simulation.world.trace.lines(), True, NODES)
                self.fail(f"seed {seed}: {violations[0]}")

    def test_fixed_seeds(self) -> None:
        """Always the same histories."""
        self.check(FIXED)

    def test_new_seeds(self) -> None:
        """Others every time."""
        base = random.SystemRandom().randrange(1000, 1 << 40)
        print(f"simulation of {NODES} nodes: seeds {base}..{base + RANDOM_RUNS - 1}")
        self.check(range(base, base + RANDOM_RUNS))


class RedisTests(SynchronousTestCase):
    """The Redis of a world, and the way there."""

    def setUp(self) -> None:
        self.world = World(1)
        self.host = RedisHost(self.world, shared_server().port)
        self.addCleanup(self.host.close)

    def run_script(self, text: bytes, *words: bytes) -> bytes:
        """Its reply's bytes."""
        return self.host.do([b"EVAL", text, b"0", *words])

    def test_time_is_the_world_s(self) -> None:
        """For commands and for scripts."""
        self.world.run(1.5)
        self.host.aged = 10.0
        self.assertEqual(pack(("1790000011", "500000")), self.host.do([b"TIME"]))
        self.assertEqual(b"$10\r\n1790000011\r\n", self.run_script(b"return redis.call('TIME')[1]"))

    def test_order_of_sets_and_hashes(self) -> None:
        """Theirs is Redis' affair, here they come sorted."""
        names = [f"name{number:02}" for number in range(50)]
        self.host.ask("SADD", "set", *reversed(names))
        self.host.ask("HSET", "hash", *(word for name in reversed(names) for word in (name, "x" * 100)))
        self.assertEqual(pack(tuple(names)), self.host.do([b"SMEMBERS", b"set"]))
        self.assertEqual(pack(tuple(names)), self.host.do([b"HKEYS", b"hash"]))
        for command in (b"'SMEMBERS', 'set'", b"'HKEYS', 'hash'"):
            self.assertEqual(pack(tuple(names)), self.run_script(b"return redis.call(%b)" % command))
        self.assertEqual(pack(tuple(names[:3])), self.run_script(b"return redis.call('SPOP', 'set', 3)"))
        self.assertEqual(47, self.host.ask("SCARD", "set"))

    def test_scripts_are_forgotten(self) -> None:
        """A restart takes them, and the name of the process."""
        text = b"return 1"
        sha = sha1(text, usedforsecurity=False).hexdigest().encode()
        self.assertEqual(b":1\r\n", self.run_script(text))
        self.assertEqual(b":1\r\n", self.host.do([b"EVALSHA", sha, b"0"]))
        before = self.host.do([b"INFO", b"server"])
        self.host.restart()
        self.assertIn(b"NOSCRIPT", self.host.do([b"EVALSHA", sha, b"0"]))
        self.assertNotEqual(before, self.host.do([b"INFO", b"server"]))

    def test_a_cut_loses_a_tail_of_what_was_under_way(self) -> None:
        """Never something in the middle, and nobody is told how much was done."""
        found = set()
        for seed in range(20):
            world = World(seed)
            host = RedisHost(world, shared_server().port)
            board, realm, client = Switchboard(world, host, 0.1), Realm(world, "node"), Client()
            way = Way(board, realm)
            way.connect(Factory.forProtocol(lambda client=client: client))  # type: ignore[misc]
            world.run(1.0)
            assert client.transport is not None
            client.transport.write(b"".join(pack(("RPUSH", "list", number)) for number in range(5)))
            way.cut(lambda: 0.5)
            world.run(2.0)
            done = host.ask("LRANGE", "list", 0, -1)
            host.close()
            self.assertEqual([b"0", b"1", b"2", b"3", b"4"][: len(done)], done)
            self.assertEqual((b"", True), (client.received, client.lost))
            found.add(len(done))
        self.assertGreater(len(found), 3)


class Client(Protocol):
    """Remembers what it was told."""

    received = b""
    lost = False

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.lost = True


class ReplayTests(SynchronousTestCase):
    """A seed is all that is needed to see a run again, with another Redis, too."""

    def digest(self, seed: int, hash_seed: str) -> str:
        """The last line of a run in a process of its own, over a Redis of its own."""
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [
            sys.executable, "-m", "tests.simulation.run", "--nodes", str(NODES), "--seed", str(seed)
        ]  # fmt: skip
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        return ran.stdout

    def test_same_run_elsewhere(self) -> None:
        """Nothing depends on the order of sets, here or in Redis, on its clock, or on addresses."""
        first, second = self.digest(7, "1"), self.digest(7, "4242")
        self.assertIn("digest", first)
        self.assertEqual(first, second)

    def test_same_run_twice_in_one_process(self) -> None:
        """A run leaves nothing behind."""
        runs = [run_seed(9, redis_port=shared_server().port)[0] for _ in range(2)]
        self.assertEqual(*(run.world.trace.digest() for run in runs))

    def test_seeds_differ(self) -> None:
        """Another seed is another run."""
        runs = [run_seed(seed, redis_port=shared_server().port)[0] for seed in (1, 2)]
        self.assertNotEqual(*(run.world.trace.digest() for run in runs))


class MutationTests(SynchronousTestCase):
    """A checker that passes broken nodes proves nothing."""


def _found(name: str, seed: int) -> object:
    with broken_nodes(name, ClusterNode, MUTATIONS) as broken:
        return Cluster(seed, shared_server().port, broken, calls=False).run()


add_tests(MutationTests, MUTATIONS, _found, SEEDS_PER_MUTATION)
