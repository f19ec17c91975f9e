"""/metrics: what is known of the media servers."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from imserver.http.vitals import Vitals


def media_server_metrics(vitals: Vitals) -> Iterator[Metric]:
    """The health of each, and how its checks ended."""
    healthy = GaugeMetricFamily(
        "imserver_media_server_healthy", "Whether a media server gets rooms", labels=["server"]
    )
    checks = CounterMetricFamily(
        "imserver_media_server_checks", "Health checks by their result", labels=["server", "result"]
    )
    for condition in vitals.media_servers:
        name = condition.server.name
        healthy.add_metric([name], condition.healthy)
        if condition.server.health is not None:
            checks.add_metric([name, "ok"], condition.passed)
            checks.add_metric([name, "failed"], condition.failed)
    yield from (healthy, checks)
