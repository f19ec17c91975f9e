"""/metrics: what is known of meeting rooms."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from imserver.http.families import counter, gauge
from imserver.http.vitals import Vitals


def room_metrics(vitals: Vitals) -> Iterator[Metric]:
    """Rooms, who comes and goes, and what is told."""
    counts = vitals.hub.rooms.counts
    yield gauge("rooms", "Meeting rooms", counts.rooms)
    yield gauge(
        "rooms_endpoints", "Endpoints in all rooms, those whose connection is lost included", counts.endpoints
    )
    yield gauge("rooms_streams", "Streams that endpoints say they publish", counts.streams)
    came = CounterMetricFamily("imserver_rooms_joins", "Joins by what became of them", labels=["kind"])
    for kind, count in (("new", counts.joined), ("resumed", counts.resumed), ("replaced", counts.replaced)):
        came.add_metric([kind], count)
    yield came
    went = CounterMetricFamily("imserver_rooms_leaves", "Endpoints that left, by why", labels=["reason"])
    for reason, count in (("left", counts.left), ("lost", counts.lost), ("removed", counts.removed)):
        went.add_metric([reason], count)
    yield went
    yield counter("rooms_broadcasts", "Broadcasts that were let through", counts.broadcasts)
    yield counter("rooms_events", "Events told to endpoints", counts.events)
    refused = CounterMetricFamily("imserver_rooms_refused", "Requests refused", labels=["fault"])
    for fault, count in counts.refused.items():
        refused.add_metric([fault], count)
    yield refused
