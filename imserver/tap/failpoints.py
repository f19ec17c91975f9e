"""Points at which a test lets the process die as in a power cut."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

VARIABLE = "IMSERVER_FAILPOINT"


class KillAt:
    """Implements the engine's Failpoints: SIGKILL to itself at the nth passing of one point."""

    __slots__ = ("_left", "_name")

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._left = count

    def hit(self, name: str) -> None:
        """Dies if this is the moment."""
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def armed(environment: Mapping[str, str]) -> KillAt | None:
    """What IMSERVER_FAILPOINT=name:count asks for; None where it is not set.

    Raises:
        ValueError: it is set to something else.
    """
    text = environment.get(VARIABLE, "")
    if not text:
        return None
    name, _, count = text.rpartition(":")
    if not name or not count.isdecimal() or int(count) < 1:
        raise ValueError(f"{VARIABLE}={text}: must be NAME:COUNT")
    return KillAt(name, int(count))
