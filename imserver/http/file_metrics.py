"""/metrics: what is known of files."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from imserver.http.families import counter, gauge
from imserver.services.file_relays import Relays
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


def relay_metrics(relays: Relays) -> Iterator[Metric]:
    """Files that go straight from one user to another."""
    yield gauge("relays", "Files offered or passed on at this moment", len(relays))
    ended = CounterMetricFamily(
        "imserver_relays_ended", "Files passed on, by how it ended", labels=["outcome"]
    )
    ended.add_metric(["completed"], relays.completed)
    ended.add_metric(["failed"], relays.failed)
    yield ended
    yield counter("relays_bytes", "Bytes of files passed on", relays.passed)
