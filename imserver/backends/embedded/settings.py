"""What may be tuned, and the named points where tests may interfere."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class EngineSettings(Struct):
    """Limits and periods of the embedded engine; changeable while it runs.

    Attributes:
        sends_per_second / send_burst: token bucket per sender; 0 = unlimited.
        broadcast_seconds: least time between two broadcasts of one sender.
        flush_rows: records in the log after which the indexes are written …
        flush_entries: … or inbox entries, which large groups reach sooner.
        idle_flush_seconds: … or seconds since the last flush.
        ids_together_from: client ids written at a time from which on many share a row (see `client_ids`).
        slice_entries: index entries written between two commits …
        slice_pause: … and seconds until the next ones, in which messages do not wait for them. More are
            written, without pauses, where twice `flush_rows` or `flush_entries` wait.
        dedupe_seconds: how long client ids are remembered; at least a day.
        retention_seconds: how long messages and records of calls are kept; 0 = for ever. Never
            less than `dedupe_seconds`, since the answers to retries are read from the log.
        change_seconds: how long revokes, receipts, missed calls and news of friends are kept for
            absent devices.
        group_members: the largest group.
        friends_only: only friends may write to each other.
        conversation_names: own names remembered per single conversation.
        devices_per_user: cursors remembered per user; the longest unused is dropped.
        fanout_users: users per record when a broadcast is fanned out.
        cached_users: users (and conversations) kept in memory beyond those in use.
        queue_rows: records waiting for the disk beyond which sends are refused.
        tick_seconds: period in which acknowledgements are persisted.
        failure_pause: seconds without a new attempt after the disk failed.
    """

    sends_per_second: float = 100.0
    send_burst: float = 200.0
    broadcast_seconds: float = 60.0
    flush_rows: int = 20_000
    flush_entries: int = 1_000_000
    ids_together_from: int = 4096
    idle_flush_seconds: float = 300.0
    slice_entries: int = 1_000
    slice_pause: float = 0.01
    dedupe_seconds: float = 48 * 3600.0
    retention_seconds: float = 0.0
    change_seconds: float = 30 * 86400.0
    group_members: int = 10_000
    friends_only: bool = False
    conversation_names: int = 64
    devices_per_user: int = 256
    fanout_users: int = 500
    cached_users: int = 50_000
    queue_rows: int = 100_000
    tick_seconds: float = 1.0
    failure_pause: float = 0.25


class Failpoints(Protocol):
    """Named points at which a test may end the process or raise.

    The names, in the order a message meets them: before-insert, after-insert,
    before-commit, after-commit, before-ack, after-ack, before-push, after-push;
    and around every index write: before-index, after-index.
    """

    def hit(self, name: str) -> None:
        """Called each time the engine passes the point."""


class NoFailpoints:
    """What production uses: nothing happens."""

    __slots__ = ()

    def hit(self, name: str) -> None:
        """Does nothing."""
