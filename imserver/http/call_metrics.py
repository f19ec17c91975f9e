"""/metrics: what is known of calls."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from imserver.http.families import counter, gauge, histogram
from imserver.http.vitals import Vitals


def call_metrics(vitals: Vitals) -> Iterator[Metric]:
    """Calls, their media, and how well clients say that they hear each other."""
    counts = vitals.hub.calls.counts
    yield counter("calls_started", "Calls that were offered, whether they could ring or not", counts.started)
    ended = CounterMetricFamily("imserver_calls_ended", "Calls by how they ended", labels=["ending"])
    for ending, count in counts.ended.items():
        ended.add_metric([ending.value], count)
    yield ended
    yield gauge("calls_ringing", "Calls that ring", counts.ringing)
    yield gauge("calls_running", "Calls that were answered and last", counts.running)
    yield counter("group_calls_started", "Calls of groups", counts.group_started)
    yield gauge("group_calls_running", "Calls of groups that last", counts.group_running)
    yield counter("calls_media_bytes", "Bytes of media relayed", counts.media_bytes)
    yield counter("calls_media_packets", "Pieces of media relayed", counts.media_packets)
    dropped = CounterMetricFamily(
        "imserver_calls_media_dropped", "Pieces of media dropped", labels=["reason"]
    )
    for reason, count in counts.media_dropped.items():
        dropped.add_metric([reason], count)
    dropped.add_metric(["slow"], sum(tally.media_dropped for tally in vitals.doors.tallies.values()))
    yield dropped
    quality = counts.quality
    yield histogram(
        "calls_packet_loss", "Fraction of packets that clients say they lost", quality.packet_loss
    )
    yield histogram("calls_jitter_seconds", "Jitter that clients told of", quality.jitter)
    yield histogram("calls_round_trip_seconds", "Round trips that clients told of", quality.round_trip)
