"""How much of what only repetition makes likely: `make test`, `make prove`, `make prove-full`.

The environment variable IMSERVER_EFFORT says which: test (default), prove or full.
IMSERVER_SEED repeats one run.
"""

from __future__ import annotations

import os
import random
from typing import TypeVar

Value = TypeVar("Value")

# Several processes that share the tests must agree on the names of all of them.
_chance = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID") or random.SystemRandom().random())
EFFORT = os.environ.get("IMSERVER_EFFORT", "test")


def effort(test: Value, prove: Value, full: Value) -> Value:
    """The figure for this run."""
    return {"test": test, "prove": prove, "full": full}[EFFORT]


def seeds(count: int) -> list[int]:
    """Fresh seeds for `count` rounds, or the one that is asked for; tests print the ones they use."""
    asked = os.environ.get("IMSERVER_SEED")
    if asked:
        return [int(asked)]
    return [_chance.getrandbits(32) for _ in range(count)]
