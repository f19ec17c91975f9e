"""Many questions at once: answered in order, some at a time, and no failure is lost."""

from __future__ import annotations

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.services.together import together


class Together(SynchronousTestCase):
    def setUp(self) -> None:
        self.waiting: list[tuple[int, Deferred[str]]] = []

    async def ask(self, number: int) -> str:
        answer: Deferred[str] = Deferred()
        self.waiting.append((number, answer))
        return await answer

    def test_in_order_and_some_at_a_time(self) -> None:
        running = ensureDeferred(together(self.ask, range(5), 3))
        self.assertEqual([0, 1, 2], [number for number, _ in self.waiting])
        for number, answer in reversed(self.waiting):
            answer.callback(f"answer {number}")
        self.assertEqual([3, 4], [number for number, _ in self.waiting[3:]])
        for number, answer in self.waiting[3:]:
            answer.callback(f"answer {number}")
        self.assertEqual([f"answer {number}" for number in range(5)], self.successResultOf(running))

    def test_a_failure_ends_it_when_all_have_answered(self) -> None:
        running = ensureDeferred(together(self.ask, range(5), 3))
        self.waiting[1][1].errback(KeyError("one"))
        self.waiting[2][1].errback(KeyError("two"))
        self.assertNoResult(running)
        self.waiting[0][1].callback("")
        self.assertEqual(("one",), self.failureResultOf(running, KeyError).value.args)
        self.assertEqual(3, len(self.waiting))

    def test_nothing(self) -> None:
        self.assertEqual([], self.successResultOf(ensureDeferred(together(self.ask, []))))
