"""How fast a user may send: a token bucket in the user's memory, and a pause between broadcasts."""

from __future__ import annotations

from imserver.backends.embedded.core import Core
from imserver.backends.embedded.entities import User
from imserver.model.errors import ErrorCode, ImError

_LEAST_DELAY = 0.001
"""Seconds; what a float's rounding leaves over must not become a wait of nothing, again and again."""


class SendRate:
    """The rates of one engine's users."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def take(self, sender: User, broadcast: bool, now: float) -> None:
        """Takes one message off the user's rate. TOO_FAST, at no cost, if there is none.

        Args:
            now: reactor seconds.
        """
        settings = self._core.settings
        if broadcast:
            if now - sender.broadcast_at < settings.broadcast_seconds:
                raise ImError(ErrorCode.TOO_FAST, "broadcasts are limited")
            sender.broadcast_at = now
            return
        rate = settings.sends_per_second
        if rate <= 0:
            return
        tokens = sender.tokens + (now - sender.stamp) * rate
        if tokens > settings.send_burst:
            tokens = settings.send_burst
        if tokens < 1.0:
            raise ImError(ErrorCode.TOO_FAST, "too many messages")
        sender.tokens = tokens - 1.0
        sender.stamp = now

    def _tokens(self, sender: User, now: float) -> float:
        settings = self._core.settings
        return min(settings.send_burst, sender.tokens + (now - sender.stamp) * settings.sends_per_second)

    def delay(self, user: str) -> float:
        """See `Store.send_delay`."""
        self._core.journal.decide()  # those that came before take their tokens first
        state, rate = self._core.ready, self._core.settings.sends_per_second
        sender = None if state is None or rate <= 0 else state.users.get(user)
        if sender is None:
            return 0.0  # what is not in memory has sent nothing for a while
        missing = 1.0 - self._tokens(sender, self._core.clock.seconds())
        return max(missing / rate, _LEAST_DELAY) if missing > 0 else 0.0
