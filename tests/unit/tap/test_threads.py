"""The bounded pool refuses what it cannot take and passes on what functions raise."""

import threading

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.tap.threads import BoundedThreads
from tests.unit.left_over import left_over


class Reactor(MemoryReactorClock):
    """Collects what threads hand over."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Condition()
        self.handed: list[tuple[object, ...]] = []

    def callFromThread(self, *call: object) -> None:
        """See IReactorFromThreads."""
        with self.came:
            self.handed.append(call)
            self.came.notify()

    def run_one(self) -> None:
        """Waits for one call of a thread and makes it."""
        with self.came:
            assert self.came.wait_for(lambda: self.handed, 10)
            function, *arguments = self.handed.pop(0)
        function(*arguments)  # type: ignore[operator]


class Bounds(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.threads = BoundedThreads(self.reactor, 1, 1, "test")  # type: ignore[arg-type]
        self.threads.start()
        self.addCleanup(self.threads.stop)

    def test_results_and_exceptions_come_back(self) -> None:
        result = self.threads.call(lambda a, b: a + b, 2, 3)
        self.reactor.run_one()
        self.assertEqual(self.successResultOf(result), 5)
        failed: Deferred[object] = self.threads.call(lambda: 1 / 0)
        self.reactor.run_one()
        self.failureResultOf(failed, ZeroDivisionError)

    def test_a_full_queue_refuses_and_recovers(self) -> None:
        gate = threading.Event()
        self.addCleanup(gate.set)
        running = self.threads.call(gate.wait)
        waiting = self.threads.call(gate.wait)
        refused = self.assertRaises(ImError, self.threads.call, gate.wait)
        self.assertEqual((refused.code, refused.retryable), (ErrorCode.UNAVAILABLE, True))
        gate.set()
        self.reactor.run_one()
        self.reactor.run_one()
        self.successResultOf(running)
        self.successResultOf(waiting)
        after = self.threads.call(int, "7")
        self.reactor.run_one()
        self.assertEqual(self.successResultOf(after), 7)

    def test_nothing_is_left_of_a_refusal(self) -> None:
        self.threads._limit = 0

        async def ask() -> None:
            await self.threads.call(int)

        self.assertEqual(
            left_over(lambda: self.failureResultOf(Deferred.fromCoroutine(ask()), ImError)),
            {},
        )


class Stopped(SynchronousTestCase):
    def test_nothing_is_taken_afterwards(self) -> None:
        threads = BoundedThreads(Reactor(), 1, 10, "test")  # type: ignore[arg-type]
        threads.start()
        threads.stop()
        self.assertRaises(ImError, threads.call, int)
