"""/metrics: the vitals in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import imserver
from imserver.http.call_metrics import call_metrics
from imserver.http.families import counter, gauge, histogram
from imserver.http.file_metrics import file_metrics, relay_metrics
from imserver.http.media_metrics import media_server_metrics
from imserver.http.room_metrics import room_metrics
from imserver.http.vitals import Vitals

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()


class Metrics(Collector):
    """Reads the vitals at each scrape."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """See Collector: registering asks for nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield InfoMetricFamily("imserver", "The program", {"version": imserver.__version__})
        yield gauge("uptime_seconds", "Seconds since the start", self._vitals.uptime)
        yield from self._connections()
        yield from self._nodes()
        yield from self._messages()
        yield from call_metrics(self._vitals)
        yield from room_metrics(self._vitals)
        yield from media_server_metrics(self._vitals)
        files = self._vitals.hub.files
        if files is not None:
            yield from file_metrics(files)
        yield from relay_metrics(self._vitals.hub.relays)
        yield from self._store()
        requests = CounterMetricFamily("imserver_http_requests", "REST requests answered", labels=["status"])
        for status, count in self._vitals.requests.items():
            requests.add_metric([str(status)], count)
        yield requests

    def _connections(self) -> Iterator[Metric]:
        vitals = self._vitals
        doors, log_ins = vitals.doors, vitals.hub.log_ins
        sessions = GaugeMetricFamily("imserver_sessions", "Live sessions", labels=["format"])
        for format, count in vitals.sessions.items():
            sessions.add_metric([format], count)
        yield sessions
        yield gauge("connections", "Open connections", doors.counter.total)
        yield gauge(
            "connections_unauthenticated", "Open connections that have not logged in", doors.counter.strangers
        )
        yield counter("connections_refused", "Connections closed for want of room", doors.counter.refused)
        ended = CounterMetricFamily("imserver_logins", "Log-ins by their result", labels=["result"])
        ended.add_metric(["ok"], log_ins.accepted)
        for code, count in log_ins.by_code.items():
            ended.add_metric([code.value], count)
        yield ended
        yield gauge("outbox_bytes", "Bytes queued for all peers", doors.budget.used)
        yield gauge("outbox_limit_bytes", "Bytes that may be queued for all peers", doors.budget.limit)

    def _nodes(self) -> Iterator[Metric]:
        hub = self._vitals.hub
        yield gauge("nodes", "Nodes of this server that live, as far as this one knows", hub.nodes)
        yield counter("nodes_lost", "Other nodes that were lost", hub.neighbours.lost)
        yield counter(
            "node_cut_offs", "Times the other nodes took this one for lost", hub.neighbours.cut_offs
        )
        yield counter("node_misses", "Times something another node said was lost", hub.neighbours.misses)

    def _messages(self) -> Iterator[Metric]:
        accepted = CounterMetricFamily("imserver_messages_accepted", "Durable sends", labels=["format"])
        refused = CounterMetricFamily("imserver_messages_refused", "Refused sends", labels=["format", "code"])
        delivered = CounterMetricFamily("imserver_deliveries", "Messages queued for peers", labels=["format"])
        dropped = CounterMetricFamily(
            "imserver_events_dropped",
            "Typing, presence and so on, not told to slow peers",
            labels=["format"],
        )
        slow = CounterMetricFamily("imserver_slow_peers", "Peers sent away as slow", labels=["format"])
        for format, tally in self._vitals.doors.tallies.items():
            accepted.add_metric([format], tally.accepted)
            delivered.add_metric([format], tally.delivered)
            dropped.add_metric([format], tally.dropped)
            slow.add_metric([format], tally.slow)
            for code, count in tally.refused.items():
                refused.add_metric([format, code.value], count)
        yield from (accepted, refused, delivered, dropped, slow)

    def _store(self) -> Iterator[Metric]:
        commits = self._vitals.commits
        yield histogram("commit_rows", "Records for the log per transaction", commits.rows)
        yield histogram("commit_seconds", "Seconds until a transaction was durable", commits.seconds)
        yield counter("commit_failures", "Transactions that failed", commits.failures)
        if self._vitals.store_reads is not None:
            reads = self._vitals.store_reads()
            yield counter("store_reads", "Pages of messages, changes and so on read from the store", reads)
        yield counter(
            "messages_unconfirmed", "Sends refused because too few replicas had them", commits.unconfirmed
        )
        sizes = GaugeMetricFamily("imserver_store_bytes", "Sizes of the store's files", labels=["file"])
        for name, size in self._vitals.store_bytes().items():
            sizes.add_metric([name], size)
        yield sizes
