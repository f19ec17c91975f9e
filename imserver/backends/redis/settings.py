"""What may be tuned of the connections to Redis."""

from __future__ import annotations

from msgspec import Struct


class LinkSettings(Struct, frozen=True):
    """Limits and periods of the connections to one Redis.

    Attributes:
        timeout: seconds a command, or connecting, may take. A connection on which one took
            longer is given up, because its answers can no longer be relied upon.
        ping_seconds: how often a connection is asked for a sign of life.
        queue_commands / queue_bytes: what may wait for Redis' answers; beyond it commands
            are refused.
        first_delay / longest_delay: seconds between two attempts to connect; doubled each
            time, and drawn from the upper half, so that nodes do not come all at once.
    """

    timeout: float = 5.0
    ping_seconds: float = 1.0
    queue_commands: int = 100_000
    queue_bytes: int = 64 * 1024 * 1024
    first_delay: float = 0.1
    longest_delay: float = 2.0
