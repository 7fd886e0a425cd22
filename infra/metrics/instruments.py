"""From declared metrics to the instruments of prometheus-client that count."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.metrics_core import GaugeMetricFamily

from infra.metrics.buckets import Buckets, Histogram
from infra.metrics.metric import Kind, Metric

disable_created_metrics()  # type: ignore[no-untyped-call]  # a gauge beside each counter, of which Prometheus makes nothing


class Instruments:
    """The instruments of one process; each metric is there from the start, also while it has counted nothing.

    Args:
        registry: where they are shown.
        metrics: all that the process shows.
    """

    def __init__(self, registry: CollectorRegistry, metrics: Iterable[Metric]) -> None:
        self._counters: dict[Metric, Counter] = {}
        self._gauges: dict[Metric, Gauge] = {}
        self._histograms: dict[Metric, Histogram] = {}
        for metric in metrics:
            match metric.kind:
                case Kind.COUNTER:
                    self._counters[metric] = Counter(metric.name, metric.says, metric.labels, registry=registry)
                case Kind.GAUGE:
                    self._gauges[metric] = Gauge(metric.name, metric.says, metric.labels, registry=registry)
                case Kind.HISTOGRAM:
                    self._histograms[metric] = Histogram(metric)
                    registry.register(self._histograms[metric])

    def counter(self, metric: Metric, *values: str) -> Counter:
        """The counter for these values of its labels; keep it where it is used often."""
        found = self._counters[metric]
        return found.labels(*values) if values else found

    def gauge(self, metric: Metric, *values: str) -> Gauge:
        """The gauge for these values of its labels."""
        found = self._gauges[metric]
        return found.labels(*values) if values else found

    def histogram(self, metric: Metric, *values: str) -> Buckets:
        """The histogram for these values of its labels; for one thread."""
        return self._histograms[metric].labels(*values)


def family(metric: Metric) -> GaugeMetricFamily:
    """An empty family of a gauge, for what is looked up when somebody asks."""
    return GaugeMetricFamily(metric.name, metric.says, labels=metric.labels)
