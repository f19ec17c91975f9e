"""Messages that may come only once: the memory of nonces, and the times they may bear (document 004, §5)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from imserver.model.errors import ErrorCode, ImError
from imserver.model.protection import Once

WINDOW = 300.0
"""Seconds by which a message's timestamp may differ from the server's clock."""
REMEMBERED = 600.0
"""Seconds a nonce is remembered: from `WINDOW` before its time to `WINDOW` after."""
SLOT = 150.0
"""Seconds after which a new set is begun; sets are forgotten whole."""
_SLOTS = 1 + math.ceil(REMEMBERED / SLOT)
NONCES_PER_KEY = 50_000
"""Nonces of one key in one slot."""
NONCES = 2_000_000
"""Nonces of all keys (about 90 bytes each); beyond it none is taken."""


class NonceMemory(Protocol):
    """Remembers which nonces were used, over all connections and, where there are several, all nodes."""

    @property
    def since(self) -> float:
        """From when on (float seconds) it knows of every nonce."""

    async def take(self, kid: str, nonce: bytes, now: float) -> bool:
        """Uses a nonce under a key; False if it was used in the last `REMEMBERED` seconds.

        Raises:
            ImError: UNAVAILABLE, TOO_FAST: it cannot be remembered, so it must not be used.
        """


class LocalNonceMemory:
    """The memory of one node; it begins anew with each start of the server.

    Args:
        now: when it begins, float seconds.
    """

    def __init__(self, now: float) -> None:
        self._since = now
        self._begun = now  # when the newest slot began
        self._slots: deque[dict[str, set[bytes]]] = deque([{}], maxlen=_SLOTS)
        self._count = 0

    @property
    def since(self) -> float:
        """See NonceMemory."""
        return self._since

    async def take(self, kid: str, nonce: bytes, now: float) -> bool:
        """See NonceMemory."""
        slots = self._slots
        if now - self._begun >= SLOT:
            self._forget(now)
        for slot in slots:
            if nonce in slot.get(kid, ()):
                return False
        known = slots[-1].setdefault(kid, set())
        if len(known) >= NONCES_PER_KEY:
            raise ImError(ErrorCode.TOO_FAST, "too many encrypted messages under this key")
        if self._count >= NONCES:
            raise ImError(ErrorCode.UNAVAILABLE, "too many encrypted messages at present")
        known.add(nonce)
        self._count += 1
        return True

    def _forget(self, now: float) -> None:
        """Begins a slot, or several after a rest; what falls out at the other end is over."""
        slots = self._slots
        for _ in range(min(int((now - self._begun) / SLOT), _SLOTS)):
            slots.append({})
        self._begun = now
        self._count = sum(len(nonces) for slot in slots for nonces in slot.values())


class ReplayGuard:
    """Lets an encrypted message through once.

    Args:
        memory: of nonces.
        wall_time: float seconds.
    """

    def __init__(self, memory: NonceMemory, wall_time: Callable[[], float]) -> None:
        self._memory = memory
        self._wall_time = wall_time

    async def admit(self, once: Once) -> None:
        """Takes note of a message.

        Raises:
            ImError: SIGNATURE for one that came before, or bears a time that is too far off, or of
                before the memory begins; TOO_FAST, UNAVAILABLE.
        """
        now = self._wall_time()
        check_time(once.at, now)
        if once.at < math.floor(self._memory.since) + 1:
            # Nobody knows any more whether it came before.
            raise ImError(ErrorCode.SIGNATURE, "the message is from before the server's last start")
        if not await self._memory.take(once.kid, once.nonce, now):
            raise ImError(ErrorCode.SIGNATURE, "a message with this nonce came before")


def check_time(at: float, now: float) -> None:
    """SIGNATURE unless a message's time is within `WINDOW` of the server's."""
    if not now - WINDOW <= at <= now + WINDOW:
        raise ImError(ErrorCode.SIGNATURE, "the timestamp is too far from the server's clock")
