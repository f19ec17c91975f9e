"""What the benchmarks say about what they measured."""

from __future__ import annotations

import asyncio
from typing import Any
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import delays
from benchmarks.chart import chart
from benchmarks.figures import ECHO, Measured, summed_up, table
from benchmarks.soak import MIB, Ear, Soak, _grown

CHAT = "protobuf one-to-one, window 16"
MANY = 1_000_000
STORM = "storm: until all are back"


class Table(SynchronousTestCase):
    def lines(self, *, shared: bool) -> dict[str, Any]:
        runs = [
            {ECHO: Measured(echo, 100.0), CHAT: Measured(chat, 120.0), STORM: Measured(20.0)}
            for echo, chat in ((100.0, 90.0), (200.0, 100.0), (50.0, 49.0))
        ]
        return {line.name: line for line in summed_up(runs, shared=shared)}

    def test_ratios_are_taken_within_a_run_and_judged_by_the_clock(self) -> None:
        lines = self.lines(shared=False)
        self.assertEqual((lines[CHAT].value, lines[CHAT].ratio, lines[CHAT].reached), (90.0, 0.9, False))
        self.assertEqual((lines[STORM].reached, lines[ECHO].reached), (False, None))

    def test_on_a_shared_machine_processor_time_decides(self) -> None:
        lines = self.lines(shared=True)
        self.assertEqual((lines[CHAT].core_ratio, lines[CHAT].reached), (1.2, True))
        self.assertEqual(lines[STORM].reached, False)

    def test_text_and_chart(self) -> None:
        lines = list(self.lines(shared=True).values())
        self.assertIn("falls short", table(lines))
        drawn = ElementTree.fromstring(chart(lines, "a < b", shared=True))
        words = [element.text for element in drawn.iter() if element.tag.endswith("text")]
        self.assertIn(STORM, words)
        self.assertNotIn(ECHO, words)


class Pairs(delays.Steady):
    """Whose messages take a millisecond for each of a thousand a second."""

    async def chat(self, seconds: float) -> None:
        self.delays += [self.per_second * 1e-6] * round(self.per_second * seconds)

    async def settled(self) -> None:
        """They are."""


class Delayed(SynchronousTestCase):
    def test_each_piece_has_a_pace_of_its_own(self) -> None:
        paces = iter([9000.0, 1000.0, 2000.0, 3000.0])

        async def pace() -> float:
            return next(paces)

        self.patch(delays, "Theft", lambda: Untouched())
        found = asyncio.run(delays.measured(Pairs(0.0), pace, 3.0))
        self.assertEqual(found.per_second, 2000.0)  # the first was for warming up
        self.assertAlmostEqual(found.middle, 2.5, delta=0.51)
        self.assertAlmostEqual(found.late, 3.0)
        self.assertEqual([*paces], [])

    def test_what_the_host_disturbed_is_measured_again(self) -> None:
        paces = iter([500.0, 1000.0, 9000.0, 1000.0])
        thefts = iter([0.0, 0.5, 0.0])

        async def pace() -> float:
            return next(paces)

        self.patch(delays, "Theft", lambda: Untouched(next(thefts)))
        found = asyncio.run(delays.measured(Pairs(0.0), pace, 2.0))
        self.assertEqual((found.per_second, round(found.late, 3)), (1000.0, 1.0))


class Untouched:
    """A host that took so much, and nothing by default."""

    def __init__(self, share: float = 0.0) -> None:
        self.share = share


class Soaking(SynchronousTestCase):
    def faults(self, *numbers: int, sent: int = 3) -> int:
        soak, ear = Soak(), Ear()
        soak.pairs.append((None, "bob", ear))  # type: ignore[arg-type]
        soak.sent.append(sent)
        for number in numbers:
            ear.put_nowait(b"... soak %012d mmm" % number)
        return len(soak.faults())

    def test_what_is_lost_doubled_or_out_of_order_is_found(self) -> None:
        self.assertEqual(self.faults(0, 1, 2), 0)
        for wrong in ((0, 1), (0, 2), (0, 1, 1, 2), (0, 2, 1), ()):
            self.assertGreater(self.faults(*wrong), 0, wrong)

    def test_a_lost_connection_is_found(self) -> None:
        ear = Ear()
        ear.put_nowait(b"an answer")
        self.assertEqual(ear.faults, [])
        ear.put_nowait(b"")
        self.assertEqual(len(ear.faults), 1)

    def test_memory_that_grows_is_found(self) -> None:
        saw = [(10.0 * at, 100 * MIB + at % 7 * 5 * MIB) for at in range(200)]
        self.assertEqual(_grown(saw, 2000.0, MANY), [])
        self.assertEqual(
            len(_grown([(at, int(size * (1 + at / 5000))) for at, size in saw], 2000.0, MANY)), 1
        )

    def test_what_is_kept_of_each_message_may_grow(self) -> None:
        for more, found in ((2.2, 0), (2.3, 1)):
            last = int(1050 * MIB + more * MANY / 4)
            saw = [(10.0 * at, last if at >= 150 else 1000 * MIB) for at in range(200)]
            self.assertEqual(found, len(_grown(saw, 2000.0, MANY)))

    def test_memory_of_a_short_soak_is_not_judged(self) -> None:
        steep = [(at / 2, MIB * at) for at in range(1, 400)]
        self.assertEqual(_grown(steep, 200.0, MANY), [])
        slow = [(2 * at, size) for at, size in steep]
        self.assertEqual(len(_grown(slow, 400.0, MANY)), 1)
        self.assertEqual(_grown(slow, 400.0, 1000), [])
