"""What may be tuned: the connections to Redis, and the store over them."""

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
        fails_over: another Redis may take this one's place, with a copy that lacks the newest.
    """

    timeout: float = 5.0
    ping_seconds: float = 1.0
    queue_commands: int = 100_000
    queue_bytes: int = 64 * 1024 * 1024
    first_delay: float = 0.1
    longest_delay: float = 2.0
    fails_over: bool = False


class StoreSettings(Struct):
    """Limits and periods of the store; changeable while it runs, and the same on every node.

    Attributes:
        sends_per_second / send_burst: of one user, over all nodes; 0 = unlimited.
        broadcast_seconds: least time between two broadcasts of one sender.
        dedupe_seconds: how long client ids are remembered; at least a day.
        retention_seconds: how long messages and records of calls are kept; 0 = for ever. Never
            less than `dedupe_seconds`, since the answers to retries are read from the messages.
        change_seconds: how long revokes, receipts, missed calls and news of friends are kept for
            absent devices.
        group_members: the largest group.
        friends_only: only friends may write to each other.
        conversation_names: own names remembered per single conversation.
        devices_per_user: cursors remembered per user; the longest unused is dropped.
        fanout_users: users reached by one step of a broadcast.
        tick_seconds: period in which acknowledgements are written.
    """

    sends_per_second: float = 100.0
    send_burst: float = 200.0
    broadcast_seconds: float = 60.0
    dedupe_seconds: float = 48 * 3600.0
    retention_seconds: float = 0.0
    change_seconds: float = 30 * 86400.0
    group_members: int = 10_000
    friends_only: bool = False
    conversation_names: int = 64
    devices_per_user: int = 256
    fanout_users: int = 500
    tick_seconds: float = 1.0
