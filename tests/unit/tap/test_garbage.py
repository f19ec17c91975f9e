"""What start-up made is exempt from collection; cycles that are made later are not."""

import gc
import weakref

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from imserver.tap import garbage


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


class Settling(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)

    def test_what_is_there_is_exempt(self) -> None:
        garbage.settle()
        self.assertGreater(gc.get_freeze_count(), 1000)
        self.assertEqual(gc.get_threshold(), garbage.THRESHOLDS)

    def test_later_cycles_go_without_being_asked_for(self) -> None:
        garbage.settle()
        first = weakref.ref(Knot())
        kept = [[] for _ in range(2 * garbage.THRESHOLDS[0])]  # type: ignore[var-annotated]
        self.assertIsNone(first())
        self.assertEqual(len(kept), 2 * garbage.THRESHOLDS[0])


class Collector:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def collect(self, generation: int = 2, /) -> int:
        self.asked.append(("collect", generation))
        return 0

    def freeze(self) -> None:
        self.asked.append(("freeze", 0))

    def unfreeze(self) -> None:
        self.asked.append(("unfreeze", 0))


FEW = [("collect", 0), ("freeze", 0)]
ALL = [("unfreeze", 0), ("collect", 2), ("freeze", 0)]


class Newcomers(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.collector = Clock(), Collector()
        self.newcomers = garbage.Newcomers(self.clock, self.collector)

    def come(self, times: int) -> list[tuple[str, int]]:
        """What that asks for."""
        before = len(self.collector.asked)
        for _ in range(times):
            self.newcomers.came()
        return self.collector.asked[before:]

    def waited(self, seconds: float) -> list[tuple[str, int]]:
        """Likewise, of time."""
        before = len(self.collector.asked)
        self.clock.advance(seconds)
        return self.collector.asked[before:]

    def test_the_youngest_are_looked_through_now_and_then_and_exempt_after_it(self) -> None:
        self.assertEqual(self.come(garbage.NEWCOMERS - 1), [])
        self.assertEqual(self.come(1), FEW)
        self.assertEqual(self.come(garbage.NEWCOMERS), FEW)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_many_all_are_looked_through_when_it_is_calm(self) -> None:
        self.come(garbage.EVERYBODY)
        self.assertEqual(self.waited(garbage.CALM_SECONDS - 1), [])
        self.come(garbage.CALM + 1)
        self.assertEqual(self.waited(1), [])
        self.come(garbage.CALM)  # which are few
        self.assertEqual(self.waited(garbage.CALM_SECONDS), ALL)
        self.assertEqual(self.waited(1000), [])
        self.come(garbage.EVERYBODY - 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.come(1)
        self.assertEqual(self.waited(garbage.CALM_SECONDS), ALL)

    def test_or_when_it_never_is(self) -> None:
        self.come(garbage.EVERYBODY)
        asked: list[tuple[str, int]] = []
        rounds = 0
        while ALL[0] not in asked:
            self.come(garbage.EVERYBODY)
            asked = self.waited(garbage.CALM_SECONDS)
            rounds += 1
        self.assertEqual((rounds, asked), (9, ALL))

    def test_what_went_meanwhile_is_freed_then(self) -> None:
        """With the real collector."""
        self.addCleanup(gc.unfreeze)
        self.newcomers = garbage.Newcomers(self.clock)
        knot = Knot()
        gone = weakref.ref(knot)
        self.come(garbage.NEWCOMERS)
        del knot
        gc.collect()
        self.assertIsNotNone(gone())
        self.come(garbage.EVERYBODY)
        self.clock.pump([garbage.CALM_SECONDS] * 2)
        self.assertIsNone(gone())
