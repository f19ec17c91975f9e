"""Weighted rendezvous hashing: balance, and that no more moves than has to."""

from __future__ import annotations

import math
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.services.rendezvous import Candidate, choose, draw

NAMES = st.text(min_size=1, max_size=12)
WEIGHTS = st.floats(0.01, 100.0)
POOLS = st.dictionaries(NAMES, WEIGHTS, min_size=1, max_size=8).map(
    lambda weights: [Candidate(name, weight) for name, weight in weights.items()]
)
KEYS = [f"app/room {number}" for number in range(150)]
MANY = [f"app/{number}" for number in range(4000)]


def placed(pool: list[Candidate], keys: list[str]) -> dict[str, str]:
    """The name of each key's server."""
    chosen = {}
    for key in keys:
        found = choose(pool, key)
        assert found is not None
        chosen[key] = found.name
    return chosen


class Rendezvous(SynchronousTestCase):
    def test_nobody(self) -> None:
        self.assertIsNone(choose([], "app/room"))

    def test_other_nodes_and_other_versions_draw_the_same_numbers(self) -> None:
        """Written down: if one of these changes, rooms move at an upgrade."""
        self.assertAlmostEqual(draw("janus-1", "app/room"), 1.3731293221293988, 12)
        self.assertAlmostEqual(draw("janus-2", "app/会议"), 0.08329231323201586, 12)

    @given(POOLS, st.randoms(use_true_random=False))
    def test_the_order_does_not_matter(self, pool: list[Candidate], chance: random.Random) -> None:
        shuffled = chance.sample(pool, len(pool))
        self.assertEqual(placed(pool, KEYS), placed(shuffled, KEYS))

    @given(POOLS.filter(lambda pool: len(pool) > 1), st.integers(0, 7))
    def test_one_that_goes_leaves_only_its_own_keys(self, pool: list[Candidate], number: int) -> None:
        """Read backwards: one that comes back gets exactly these again."""
        gone = pool[number % len(pool)]
        before = placed(pool, KEYS)
        after = placed([one for one in pool if one is not gone], KEYS)
        moved = {key for key in KEYS if before[key] != after[key]}
        self.assertEqual(moved, {key for key in KEYS if before[key] == gone.name})

    @given(POOLS, st.integers(0, 7), st.floats(1.1, 10.0))
    def test_more_weight_takes_keys_and_gives_none(
        self, pool: list[Candidate], number: int, factor: float
    ) -> None:
        old = pool[number % len(pool)]
        new = Candidate(old.name, old.weight * factor)
        before = placed(pool, KEYS)
        after = placed([new if one is old else one for one in pool], KEYS)
        for key in KEYS:
            self.assertIn(after[key], (before[key], old.name))

    @settings(max_examples=25)
    @given(st.dictionaries(NAMES, st.floats(0.2, 5.0), min_size=1, max_size=5))
    def test_everyone_gets_the_share_of_its_weight(self, weights: dict[str, float]) -> None:
        counts = Counter(placed([Candidate(name, weight) for name, weight in weights.items()], MANY).values())
        for name, weight in weights.items():
            share = weight / sum(weights.values())
            deviation = math.sqrt(len(MANY) * share * (1 - share))
            # Six standard deviations: once in 500 million times by chance alone.
            self.assertLess(abs(counts[name] - len(MANY) * share), 6 * deviation + 1, (weights, counts))
