"""What start-up made is exempt from collection; cycles that are made later are not."""

import gc
import weakref

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


class Newcomers(SynchronousTestCase):
    def test_the_youngest_are_looked_through_now_and_then(self) -> None:
        asked: list[int] = []
        young = garbage.Young(asked.append)
        counts = []
        for _ in range(2 * garbage.NEWCOMERS):
            young.came()
            counts.append(len(asked))
        self.assertEqual(
            [counts.count(number) for number in range(3)], [garbage.NEWCOMERS - 1, garbage.NEWCOMERS, 1]
        )
        self.assertEqual(set(asked), {0})
