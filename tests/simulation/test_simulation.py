"""The simulation as a test: histories without a violation, and broken servers that are caught."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.mutations import MUTATIONS, add_tests, broken_nodes
from tests.simulation.run import report, run_seed
from tests.simulation.simulation import Simulation

ROOT = Path(__file__).parents[2]
FIXED = range(1, 61)
RANDOM_RUNS = 40
SEEDS_PER_MUTATION = 60


class HistoriesTests(SynchronousTestCase):
    """The server keeps its promises."""

    def check(self, seeds: range, calls: bool = True) -> None:
        """Runs these histories."""
        for seed in seeds:
            simulation, violations = run_seed(seed, calls)
            if violations:
                report(seed, violations, simulation.world.trace.lines(), calls)
                self.fail(f"seed {seed}: {violations[0]}")

    def test_fixed_seeds(self) -> None:
        """Always the same histories."""
        self.check(FIXED)

    def test_a_retry_waits_for_its_rate_while_days_pass(self) -> None:
        """It is accepted once more, since nobody remembers it any longer; that is no violation.

        In the second history, retention has taken the first message by then.
        """
        self.check(range(17589945466, 17589945467), calls=False)
        self.check(range(1795349622, 1795349623), calls=False)

    def test_new_seeds(self) -> None:
        """Others every time."""
        base = random.SystemRandom().randrange(1000, 1 << 40)
        print(f"simulation: seeds {base}..{base + RANDOM_RUNS - 1}")
        # Telephones have seeds of their own above, and long runs (`make prove-full`).
        self.check(range(base, base + RANDOM_RUNS), calls=False)


class ReplayTests(SynchronousTestCase):
    """A seed is all that is needed to see a run again."""

    def digest(self, seed: int, hash_seed: str) -> str:
        """The last line of a run in a process of its own."""
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "tests.simulation.run", "--seed", str(seed)]
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        return ran.stdout

    def test_same_run_under_another_hash_seed(self) -> None:
        """Nothing depends on the order of sets of strings, or on addresses."""
        for seed in (14, 26):
            first, second = self.digest(seed, "1"), self.digest(seed, "4242")
            self.assertIn("digest", first)
            self.assertEqual(first, second)

    def test_same_run_twice_in_one_process(self) -> None:
        """A run leaves nothing behind."""
        digests = set()
        for _ in range(2):
            simulation, violations = run_seed(9)
            self.assertEqual(violations, [])
            digests.add(simulation.world.trace.digest())
        self.assertEqual(len(digests), 1)

    def test_seeds_differ(self) -> None:
        """Another seed is another run."""
        digests = {run_seed(seed)[0].world.trace.digest() for seed in (1, 2, 3)}
        self.assertEqual(len(digests), 3)


class MutationTests(SynchronousTestCase):
    """A checker that passes a broken server proves nothing."""


def _found(name: str, seed: int) -> object:
    with broken_nodes(name) as broken:
        return Simulation(seed, broken, verify=False).run()


add_tests(MutationTests, MUTATIONS, _found, SEEDS_PER_MUTATION)
