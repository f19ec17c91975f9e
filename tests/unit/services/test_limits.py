"""Rate limits against a plain model, and their bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.services.limits import FailureWindow, RateLimiter, address_key
from tests.unit.services.world import Time


class RateLimiterTests(SynchronousTestCase):
    def test_a_burst_and_then_the_rate(self) -> None:
        time = Time()
        limiter = RateLimiter(time, rate=2, burst=5)
        self.assertEqual([limiter.allow("a") for _ in range(7)], [True] * 5 + [False] * 2)
        time.now += 0.5
        self.assertEqual([limiter.allow("a") for _ in range(2)], [True, False])
        time.now += 100
        self.assertEqual([limiter.allow("a") for _ in range(7)], [True] * 5 + [False] * 2)

    def test_keys_are_independent(self) -> None:
        limiter = RateLimiter(Time(), rate=1, burst=1)
        self.assertEqual([limiter.allow(key) for key in "aabb"], [True, False, True, False])

    def test_a_refusal_takes_nothing(self) -> None:
        limiter = RateLimiter(Time(), rate=1, burst=5)
        self.assertTrue(limiter.allow("a", 3))
        self.assertFalse(limiter.allow("a", 3))
        self.assertTrue(limiter.allow("a", 2))

    def test_a_clock_set_back_locks_nobody_out(self) -> None:
        time = Time()
        limiter = RateLimiter(time, rate=1, burst=2)
        limiter.allow("a", 2)
        time.now -= 86400
        self.assertFalse(limiter.allow("a"))
        time.now += 1
        self.assertTrue(limiter.allow("a"))

    def test_memory_is_bounded_and_full_buckets_are_forgotten(self) -> None:
        time = Time()
        limiter = RateLimiter(time, rate=1, burst=1, max_keys=10)
        for key in range(1000):
            limiter.allow(key)
        self.assertLessEqual(len(limiter), 10)
        time.now += 5
        for _ in range(12):
            limiter.allow("one", 0.01)
        self.assertEqual(len(limiter), 1)

    def test_nonsense_is_refused_at_once(self) -> None:
        for rate, burst in ((0, 1), (-1, 1), (1, 0)):
            self.assertRaises(ValueError, RateLimiter, Time(), rate, burst)

    def test_it_is_a_token_bucket(self) -> None:
        @given(st.lists(st.tuples(st.sampled_from((0, 1, 2, 4)), st.integers(1, 4)), max_size=60))
        def check(steps: list[tuple[int, int]]) -> None:
            time, level = Time(), 4.0
            limiter = RateLimiter(time, rate=0.5, burst=4)
            for wait, cost in steps:
                time.now += wait
                level = min(4.0, level + wait * 0.5)
                allowed = limiter.allow("a", cost)
                self.assertEqual(allowed, level >= cost)
                level -= cost if allowed else 0

        check()


class FailureWindowTests(SynchronousTestCase):
    def test_blocks_at_the_limit_until_the_first_is_old(self) -> None:
        time = Time()
        window = FailureWindow(time, limit=3, seconds=60)
        for _ in range(3):
            self.assertFalse(window.blocked("a"))
            window.record("a")
            time.now += 10
        self.assertTrue(window.blocked("a"))
        self.assertFalse(window.blocked("b"))
        time.now += 29.9
        self.assertTrue(window.blocked("a"))
        time.now += 0.2
        self.assertFalse(window.blocked("a"))
        window.record("a")
        self.assertTrue(window.blocked("a"), "the window slides")

    def test_a_clock_set_back_locks_nobody_out(self) -> None:
        time = Time()
        window = FailureWindow(time, limit=1)
        window.record("a")
        time.now -= 86400
        self.assertFalse(window.blocked("a"))

    def test_memory_is_bounded_and_old_failures_are_forgotten(self) -> None:
        time = Time()
        window = FailureWindow(time, limit=2, max_keys=10)
        for key in range(1000):
            window.record(key)
        self.assertLessEqual(len(window), 10)
        time.now += 61
        for _ in range(12):
            window.record("one")
        self.assertEqual(len(window), 1)


class AddressTests(SynchronousTestCase):
    def test_what_counts_as_one_peer(self) -> None:
        for address, key in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("", ""),
            ("not:an:address", "not:an:address"),
        ):
            self.assertEqual(address_key(address), key)
