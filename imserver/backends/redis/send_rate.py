"""How fast a user may send, as far as this node knows: so that sessions need not run into the limit.

The limit itself is kept in Redis, at the append (GCRA): a user's `tat` is the time at which,
sending evenly, all that was sent would be over; it may be ahead of now by the burst.
"""

from __future__ import annotations

from collections.abc import Callable

from imserver.backends.redis.settings import StoreSettings

_LEAST_DELAY = 0.001
"""Seconds; what a float's rounding leaves over must not become a wait of nothing, again and again."""
_SLACK = 0.01
"""Milliseconds that times lose by being written and read."""
_MOST_USERS = 50_000


class SendRate:
    """The rates of users who send from here; times are milliseconds."""

    def __init__(self, wall: Callable[[], float], settings: StoreSettings) -> None:
        self._wall = wall
        self._settings = settings
        self._tats: dict[str, float] = {}

    @property
    def interval(self) -> float:
        """Milliseconds between two messages at the rate; 0 = unlimited."""
        rate = self._settings.sends_per_second
        return 1000.0 / rate if rate > 0 else 0.0

    @property
    def tolerance(self) -> float:
        """How far `tat` may be ahead."""
        return (self._settings.send_burst - 1.0) * self.interval + _SLACK

    def take(self, user: str) -> bool:
        """A message is on its way; False: it is one too many, and not counted."""
        now = self._wall() * 1000.0
        tat = max(self._tats.get(user, 0.0), now)
        if tat - now > self.tolerance:
            return False
        if len(self._tats) >= _MOST_USERS and user not in self._tats:
            self._tats = {one: at for one, at in self._tats.items() if at > now}
        self._tats[user] = tat + self.interval
        return True

    def give_back(self, user: str) -> None:
        """It did not count."""
        if user in self._tats:
            self._tats[user] -= self.interval

    def learn(self, user: str, tat: float) -> None:
        """Redis refused one, and said why."""
        self._tats[user] = max(self._tats.get(user, 0.0), tat)

    def delay(self, user: str) -> float:
        """See `Store.send_delay`."""
        tat = self._tats.get(user)
        if tat is None or self.interval <= 0:
            return 0.0
        excess = tat - self._wall() * 1000.0 - self.tolerance
        return max(excess / 1000.0, _LEAST_DELAY) if excess > 0 else 0.0
