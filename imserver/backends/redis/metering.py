"""Counts what goes to Redis: writes, their sizes and how long they were waited for.

Only plain numbers, changed once per write.
"""

from __future__ import annotations

from imserver.services.histogram import Histogram

COMMANDS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class WriteMeter:
    """What is counted.

    Attributes:
        rows: commands in one write.
        seconds: from a write until all of it was answered.
        failures: writes that were not answered.
        unconfirmed: messages that Redis has taken, but too few replicas have confirmed.
    """

    def __init__(self) -> None:
        self.rows = Histogram(COMMANDS)
        self.seconds = Histogram(SECONDS)
        self.failures = 0
        self.unconfirmed = 0

    def answered(self, commands: int, seconds: float) -> None:
        """A write was answered in full."""
        self.rows.observe(commands)
        self.seconds.observe(seconds)
