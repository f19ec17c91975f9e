"""/metrics: what is known of files."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from imserver.http.families import counter, gauge
from imserver.services.files import Files


def file_metrics(files: Files) -> Iterator[Metric]:
    """Bytes moved, channels, and how uploads end."""
    channels = files.channels
    moved = CounterMetricFamily("imserver_files_bytes", "Bytes of files moved", labels=["direction"])
    moved.add_metric(["in"], channels.received)
    moved.add_metric(["out"], channels.sent)
    yield moved
    yield gauge("files_channels", "Files moved at this moment", len(channels))
    yield counter("files_stored", "Uploads that became whole and verified", channels.stored)
    yield counter("files_mismatched", "Whole uploads that were not what was announced", channels.mismatched)
