"""Calls hold what they promise, whatever their users do; and what is broken on purpose is found out."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from imserver.services.call_terms import Table
from tests.effort import effort
from tests.unit.services.call_machine import CallMachine
from tests.unit.services.call_mutations import PATCHES, TABLES, patched
from tests.unit.services.test_call_races import CAUGHT

EXAMPLES = effort(60, 2_000, 20_000)
STEPS = 60
EXAMPLES_FOR_A_MUTATION = 5_000
"""It ends with the first that is noticed; the hardest take some hundreds."""


class OneNode(CallMachine):
    nodes = ("n1",)


class ThreeNodes(CallMachine):
    nodes = ("n1", "n2", "n3")


class MortalNodes(CallMachine):
    nodes = ("n1", "n2", "n3", "n4")
    mortal = True


def run(machine: type[CallMachine], examples: int, *, known: bool) -> None:
    """Runs a machine.

    Args:
        known: always the same examples, and no time is spent on making a bad one smaller.
    """
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=tuple(HealthCheck),
            database=None,
            derandomize=known,
            phases=[Phase.generate] if known else [Phase.generate, Phase.shrink],
        ),
    )


class MachineTests(SynchronousTestCase):
    def test_one_node(self) -> None:
        run(OneNode, EXAMPLES, known=False)

    def test_three_nodes(self) -> None:
        run(ThreeNodes, EXAMPLES, known=False)

    def test_nodes_that_are_lost(self) -> None:
        run(MortalNodes, EXAMPLES, known=False)


class MutationTests(SynchronousTestCase):
    """A machine that passes what is broken proves nothing."""

    def caught(self, name: str, table: Table | None = None) -> None:
        """Runs until somebody notices."""

        class Broken(ThreeNodes):
            pass

        if table is not None:
            Broken.table = table
        try:
            run(Broken, EXAMPLES_FOR_A_MUTATION, known=True)
        except Exception:
            self.flushLoggedErrors()
            return
        self.fail(f"nobody noticed: {name}")


def _add_mutation_tests() -> None:
    for name, table in TABLES.items():

        def test_table(self: MutationTests, name: str = name, table: Table = table) -> None:
            self.caught(name, table)

        setattr(MutationTests, f"test_{name.replace(' ', '_')}", test_table)
    for name in PATCHES.keys() - CAUGHT.keys():

        def test_code(self: MutationTests, name: str = name) -> None:
            with patched(name):
                self.caught(name)

        setattr(MutationTests, f"test_{name.replace(' ', '_')}", test_code)


_add_mutation_tests()
