"""Metrics without labels, in Prometheus' terms."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from imserver.http.vitals import Buckets


def gauge(name: str, help: str, value: float) -> Metric:
    """A number that goes up and down."""
    return GaugeMetricFamily(f"imserver_{name}", help, value)


def counter(name: str, help: str, value: float) -> Metric:
    """A number that grows."""
    return CounterMetricFamily(f"imserver_{name}", help, value)


def histogram(name: str, help: str, value: Buckets) -> Metric:
    """Counts by size."""
    buckets: list[tuple[str, float]] = []
    sum_so_far = 0
    for bound, count in zip((*value.bounds, float("inf")), value.counts, strict=True):
        sum_so_far += count
        buckets.append(("+Inf" if bound == float("inf") else repr(float(bound)), sum_so_far))
    family = HistogramMetricFamily(f"imserver_{name}", help)
    family.add_metric([], buckets, value.total)
    return family
