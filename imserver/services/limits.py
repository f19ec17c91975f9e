"""Rate limits: token buckets and failure windows, each bounded in memory.

The clock is handed in (float seconds; a monotonic one is best, one that steps
back does no lasting harm).
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Hashable

MAX_KEYS = 100_000
_ROUNDING = 1e-6
"""Seconds; keeps float arithmetic on wall times from refusing the last token of a burst."""


def address_key(address: str) -> str:
    """What counts as one peer address.

    An IPv6 peer usually owns a whole /64, so that is what is counted; an IPv4
    address mapped into IPv6 is the IPv4 address.
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


class RateLimiter:
    """A token bucket per key.

    A bucket is kept as the one moment at which it will be full again, so a full
    bucket and an unknown key are the same thing, and old entries can be dropped.

    Args:
        clock: float seconds.
        rate: tokens a second.
        burst: tokens a full bucket holds.
        max_keys: buckets remembered; beyond it the longest untouched are forgotten.
    """

    __slots__ = ("_capacity", "_clock", "_cost", "_full_at", "_max_keys")

    def __init__(
        self, clock: Callable[[], float], rate: float, burst: float, *, max_keys: int = MAX_KEYS
    ) -> None:
        if rate <= 0 or burst < 1 or max_keys < 1:
            raise ValueError("a rate limit needs rate > 0, burst >= 1 and max_keys >= 1")
        self._clock = clock
        self._cost = 1.0 / rate
        self._capacity = burst / rate
        self._max_keys = max_keys
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def allow(self, key: Hashable, cost: float = 1) -> bool:
        """Takes `cost` tokens; False, and nothing taken, if there are not enough."""
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now)
        if full_at > now + self._capacity + _ROUNDING:
            # Further ahead than an empty bucket needs: the clock stepped back.
            full_at = self._full_at[key] = now + self._capacity
        after = full_at + cost * self._cost
        if after - now > self._capacity + _ROUNDING:
            return False
        self._full_at[key] = after
        self._full_at.move_to_end(key)
        self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        entries = self._full_at
        # Two at a time: more than come in, so whatever is full again goes in the end.
        for _ in range(2):
            key = next(iter(entries))
            if entries[key] > now and len(entries) <= self._max_keys:
                return
            del entries[key]
            if not entries:
                return


class FailureWindow:
    """Counts failures per key over a sliding window.

    Args:
        clock: float seconds.
        limit: failures within the window after which a key is blocked.
        seconds: length of the window.
        max_keys: keys remembered; beyond it those that failed longest ago are forgotten.
    """

    __slots__ = ("_clock", "_failures", "_limit", "_max_keys", "_seconds")

    def __init__(
        self, clock: Callable[[], float], limit: int, seconds: float = 60.0, *, max_keys: int = MAX_KEYS
    ) -> None:
        if limit < 1 or seconds <= 0 or max_keys < 1:
            raise ValueError("a failure window needs limit >= 1, seconds > 0 and max_keys >= 1")
        self._clock = clock
        self._limit = limit
        self._seconds = seconds
        self._max_keys = max_keys
        self._failures: OrderedDict[Hashable, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def blocked(self, key: Hashable) -> bool:
        """Whether the key has failed `limit` times within the window."""
        times = self._failures.get(key)
        if times is None or len(times) < self._limit:
            return False
        return self._recent(times[0], self._clock())

    def record(self, key: Hashable) -> None:
        """Counts one failure."""
        now = self._clock()
        times = self._failures.get(key)
        if times is None:
            times = self._failures[key] = []
        elif len(times) >= self._limit:
            del times[0]
        times.append(now)
        self._failures.move_to_end(key)
        entries = self._failures
        for _ in range(2):
            oldest = next(iter(entries))
            if len(entries) <= self._max_keys and self._recent(entries[oldest][-1], now):
                return
            del entries[oldest]
            if not entries:
                return

    def _recent(self, at: float, now: float) -> bool:
        # A moment in the future means that the clock stepped back: it is forgiven.
        return 0 <= now - at < self._seconds
