"""What is kept of calls: their records, and the numbers for the operator."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from imserver.model.call_records import CallRecord
from imserver.model.calls import CallQuality, Ending
from imserver.model.errors import ImError
from imserver.services.histogram import Histogram
from imserver.services.ports import Store

TRIES = 60
RETRY_SECONDS = 5.0
"""A record is tried so often, so far apart, while the store refuses it."""
LOSS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
JITTER = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
ROUND_TRIP = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)


class QualityCounts:
    """What clients said of their calls: a fraction, and seconds."""

    __slots__ = ("jitter", "packet_loss", "round_trip")

    def __init__(self) -> None:
        self.packet_loss = Histogram(LOSS)
        self.jitter = Histogram(JITTER)
        self.round_trip = Histogram(ROUND_TRIP)

    def observe(self, quality: CallQuality) -> None:
        """Counts what was told."""
        for histogram, value in (
            (self.packet_loss, quality.packet_loss),
            (self.jitter, quality.jitter),
            (self.round_trip, quality.round_trip),
        ):
            if value is not None:
                histogram.observe(value)


class CallCounts:
    """Numbers since the start, on this node.

    Attributes:
        group_started / group_running: calls of groups, since the start; at home here, now.
        started: calls that were offered, those that could not ring included.
        ended: calls by how they ended.
        ringing / running: calls at home here, now.
        media_bytes / media_packets: relayed.
        media_dropped: pieces of media not relayed, by the reason.
        quality: what clients said of their calls.
    """

    __slots__ = (
        "ended",
        "group_running",
        "group_started",
        "media_bytes",
        "media_dropped",
        "media_packets",
        "quality",
        "ringing",
        "running",
        "started",
    )

    def __init__(self) -> None:
        self.started = 0
        self.ended = dict.fromkeys(Ending, 0)
        self.ringing = 0
        self.running = 0
        self.group_started = 0
        self.group_running = 0
        self.media_bytes = 0
        self.media_packets = 0
        self.media_dropped = {"no_call": 0, "rate": 0, "nodes": 0}
        self.quality = QualityCounts()


_Key = tuple[str, str, float]


def _key(record: CallRecord) -> _Key:
    """What a call is known by: others may choose its id again."""
    return record.call, record.caller, record.created_at


class CallRecords:
    """Writes records in order, one write of a call at a time; the newest is what counts.

    A failure of the store ends nothing: calls go on, and their records are tried again.

    Args:
        clock: times the retries.
    """

    log = Logger()

    def __init__(
        self, store: Store, spawn: Callable[[Coroutine[Any, Any, Any]], Any], clock: IReactorTime
    ) -> None:
        self._store = store
        self._spawn = spawn
        self._clock = clock
        self._waiting: dict[_Key, CallRecord | None] = {}  # by call, while one of it is being written

    def keep(self, record: CallRecord) -> None:
        """Writes it, soon."""
        key = _key(record)
        if key in self._waiting:
            self._waiting[key] = record
        else:
            self._waiting[key] = None
            self._spawn(self._write(record))

    async def _write(self, record: CallRecord) -> None:
        newest: CallRecord | None = record
        key = _key(record)
        try:
            while newest is not None:
                await self._write_one(newest)
                newest, self._waiting[key] = self._waiting[key], None
        finally:
            del self._waiting[key]

    async def _write_one(self, record: CallRecord) -> None:
        for _ in range(TRIES):
            try:
                return await self._store.record_call(record)
            except ImError as error:
                self.log.warn("the record of a call could not be kept yet: {code}", code=error.code)
                if not error.retryable:
                    break
            await deferLater(self._clock, RETRY_SECONDS)
            if self._waiting[_key(record)] is not None:
                return None  # there is a newer one
        self.log.error("the record of call {call} is lost", call=record.call)
        return None
