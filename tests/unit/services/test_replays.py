"""Encrypted messages may come once, and about now."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from imserver.model.errors import ErrorCode, ImError
from imserver.model.protection import Once
from imserver.services import replays
from imserver.services.replays import REMEMBERED, SLOT, WINDOW, LocalNonceMemory, ReplayGuard
from tests.unit.services.world import START, Time


class Memory(SynchronousTestCase):
    """`LocalNonceMemory`."""

    def setUp(self) -> None:
        self.memory = LocalNonceMemory(START)

    def take(self, nonce: bytes, after: float = 0.0, kid: str = "k1") -> bool:
        taken: bool = self.successResultOf(
            Deferred.fromCoroutine(self.memory.take(kid, nonce, START + after))
        )
        return taken

    def test_once_for_each_key(self) -> None:
        self.assertTrue(self.take(b"n"))
        self.assertFalse(self.take(b"n"))
        self.assertTrue(self.take(b"n", kid="k2"))
        self.assertTrue(self.take(b"m"))

    def test_remembered_for_ten_minutes_whenever_it_came_and_however_often_it_is_asked(self) -> None:
        for begun in (0.0, 1.0, SLOT - 0.001, SLOT, 700.0, 5000.5):
            for step in (REMEMBERED, 299.0, 150.0, 149.0, 10.0):
                memory = self.memory = LocalNonceMemory(START)
                self.assertTrue(self.take(b"n", begun))
                after = begun
                while after < begun + REMEMBERED:
                    self.assertFalse(self.take(b"n", after), (begun, step, after))
                    after += step
                self.assertFalse(self.take(b"n", begun + REMEMBERED), (begun, step))
                self.assertIs(self.memory, memory)

    def test_forgotten_at_last(self) -> None:
        self.take(b"n")
        self.assertTrue(self.take(b"n", REMEMBERED + 2 * SLOT))

    def test_bounded(self) -> None:
        self.patch(replays, "NONCES_PER_KEY", 3)
        self.patch(replays, "NONCES", 5)
        for number in range(3):
            self.take(b"%d" % number)
        self.refused(ErrorCode.TOO_FAST, b"x", "k1")
        self.take(b"0", kid="k2")
        self.take(b"1", kid="k2")
        self.refused(ErrorCode.UNAVAILABLE, b"2", "k2")
        self.assertTrue(self.take(b"x", 5000.0))

    def refused(self, code: ErrorCode, nonce: bytes, kid: str) -> None:
        taken = Deferred.fromCoroutine(self.memory.take(kid, nonce, START))
        self.assertIs(self.failureResultOf(taken, ImError).value.code, code)


class Admission(SynchronousTestCase):
    """`ReplayGuard`."""

    def setUp(self) -> None:
        self.time = Time(START + 1000.5)
        self.guard = ReplayGuard(LocalNonceMemory(START + 0.7), self.time)

    def admitted(self, at: float, nonce: bytes = b"n") -> bool:
        work = Deferred.fromCoroutine(self.guard.admit(Once(None, "k", nonce, at)))
        failed: list[object] = []

        def refused(failure: Any) -> None:
            failed.append(failure.value.code)

        work.addErrback(refused)
        if failed:
            self.assertEqual(failed, [ErrorCode.SIGNATURE])
        return not failed

    def test_only_once(self) -> None:
        self.assertTrue(self.admitted(self.time.now))
        self.assertFalse(self.admitted(self.time.now))
        self.assertTrue(self.admitted(self.time.now, b"another"))

    def test_the_window(self) -> None:
        now = self.time.now
        for number, (at, admitted) in enumerate(
            (
                (now - WINDOW, True),
                (now - WINDOW - 0.5, False),
                (now + WINDOW, True),
                (now + WINDOW + 0.5, False),
                (10**400, False),
            )
        ):
            self.assertIs(self.admitted(at, b"%d" % number), admitted, at)

    def test_a_message_is_remembered_as_long_as_its_time_is_in_the_window(self) -> None:
        at = self.time.now + WINDOW
        self.assertTrue(self.admitted(at))
        self.time.now += 2 * WINDOW
        self.assertFalse(self.admitted(at))

    def test_nothing_from_before_the_start(self) -> None:
        self.time.now = START + 2.0
        for number, (at, admitted) in enumerate(
            ((START - 1.0, False), (START, False), (START + 0.99, False), (START + 1.0, True))
        ):
            self.assertIs(self.admitted(at, b"%d" % number), admitted, at)
