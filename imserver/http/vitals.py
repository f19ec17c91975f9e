"""What the server knows of its own state: gathered when somebody asks, from plain numbers kept elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from imserver.http.views import StatsData
from imserver.protocols.doors import Doors
from imserver.services.hub import Hub
from imserver.services.media_servers import Condition


class Buckets(Protocol):
    """A histogram: counts per bucket (not cumulated), upper bounds but for the last one, and the sum."""

    @property
    def bounds(self) -> Sequence[float]: ...
    @property
    def counts(self) -> Sequence[int]: ...
    @property
    def total(self) -> float: ...


class Commits(Protocol):
    """What is counted of the store's commits: rows and seconds of each, the failed ones,
    and the messages that were committed but refused because too few replicas confirmed them."""

    @property
    def rows(self) -> Buckets: ...
    @property
    def seconds(self) -> Buckets: ...
    @property
    def failures(self) -> int: ...
    @property
    def unconfirmed(self) -> int: ...


class Vitals:
    """The sources of /metrics, /readyz and the statistics.

    Args:
        clock: monotonic float seconds.
        commits: the store's.
        store_bytes: sizes of the store's files by name.
        check_store: returns normally if the store takes messages now; ImError otherwise.
        media_servers: what is known of each.
        store_reads: how many pages were read from the store; None = that is not counted.

    Attributes:
        listening: set by the owner while all listeners are open.
        requests: REST requests answered, by status.
    """

    def __init__(
        self,
        hub: Hub,
        doors: Doors,
        clock: Callable[[], float],
        commits: Commits,
        store_bytes: Callable[[], dict[str, int]],
        check_store: Callable[[], Awaitable[None]],
        media_servers: Sequence[Condition] = (),
        store_reads: Callable[[], int] | None = None,
    ) -> None:
        self.hub = hub
        self.doors = doors
        self.commits = commits
        self.store_bytes = store_bytes
        self.check_store = check_store
        self.media_servers = media_servers
        self.store_reads = store_reads
        self.listening = False
        self.requests: dict[int, int] = {}
        self._clock = clock
        self._started_at = clock()

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started_at

    @property
    def sessions(self) -> dict[str, int]:
        """Live sessions by format."""
        return {**self.hub.registry.formats, **self.hub.rooms.registry.formats}

    def answered(self, status: int) -> None:
        """Counts a REST request."""
        self.requests[status] = self.requests.get(status, 0) + 1

    def stats(self) -> StatsData:
        """The numbers that administrators are shown."""
        hub, doors = self.hub, self.doors
        calls = hub.calls.counts
        tallies = doors.tallies
        refused: dict[str, int] = {}
        for tally in tallies.values():
            for code, count in tally.refused.items():
                refused[code.value] = refused.get(code.value, 0) + count
        return StatsData(
            uptime_seconds=self.uptime,
            connections=doors.counter.total,
            unauthenticated=doors.counter.strangers,
            refused_connections=doors.counter.refused,
            sessions=self.sessions,
            accepted={format: tally.accepted for format, tally in tallies.items()},
            refused=refused,
            delivered={format: tally.delivered for format, tally in tallies.items()},
            dropped_events=sum(tally.dropped for tally in tallies.values()),
            slow_peers=sum(tally.slow for tally in tallies.values()),
            log_ins=hub.log_ins.accepted,
            failed_log_ins=sum(hub.log_ins.by_code.values()),
            outbox_bytes=doors.budget.used,
            store_bytes=sum(self.store_bytes().values()),
            calls_ringing=calls.ringing,
            calls_running=calls.running,
            calls_ended={ending.value: count for ending, count in calls.ended.items()},
        )
