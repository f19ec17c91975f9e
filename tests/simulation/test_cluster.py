"""Three nodes over one Redis: histories without a violation, and broken nodes that are caught."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.redis.link_case import shared_server
from tests.simulation.cluster import NODES, Cluster, ClusterNode
from tests.simulation.cluster_mutations import MUTATIONS
from tests.simulation.mutations import broken_nodes
from tests.simulation.run import report, run_seed

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
                report(seed, violations, simulation.world.trace.lines(), False, NODES)
                self.fail(f"seed {seed}: {violations[0]}")

    def test_fixed_seeds(self) -> None:
        """Always the same histories."""
        self.check(FIXED)

    def test_new_seeds(self) -> None:
        """Others every time."""
        base = random.SystemRandom().randrange(1000, 1 << 40)
        print(f"simulation of {NODES} nodes: seeds {base}..{base + RANDOM_RUNS - 1}")
        self.check(range(base, base + RANDOM_RUNS))


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

    def caught(self, name: str) -> None:
        """Runs broken nodes until the checker notices, for a bounded number of histories."""
        for seed in range(1, SEEDS_PER_MUTATION + 1):
            with broken_nodes(name, ClusterNode, MUTATIONS) as broken:
                found = Cluster(seed, shared_server().port, broken).run()
            self.flushLoggedErrors()
            if found:
                return
        self.fail(f"{SEEDS_PER_MUTATION} histories, and nobody noticed: {name}")


def _add_mutation_tests() -> None:
    for name in MUTATIONS:

        def test(self: MutationTests, name: str = name) -> None:
            self.caught(name)

        test.__doc__ = MUTATIONS[name].__doc__
        setattr(MutationTests, f"test_{name}", test)


_add_mutation_tests()
