"""A metric as it is declared: its name, what it counts, and by what it is told apart."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

MOMENTS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds for what should take milliseconds: appending a batch, writing rows."""
WORK: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""Bounds for what tasks take."""
WAITS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
"""Bounds for how late something is."""
SIZES: Final = (1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0)
"""Bounds for how much is done at once."""


class Kind(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    """Only grows, from 0 when its process starts."""
    GAUGE = "gauge"
    """Goes up and down."""
    HISTOGRAM = "histogram"
    """Counts what was observed, by upper bounds."""


class Metric(NamedTuple):
    """One metric.

    Attributes:
        name: as Prometheus stores it; a histogram's without ``_bucket``, ``_sum`` and ``_count``.
        kind: how it behaves.
        says: what it says, in one line.
        labels: by what it is told apart. Never an id: each value is from a short list.
        bounds: a histogram's, in the unit of its name.
    """

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def counter(name: str, says: str, *labels: str) -> Metric:
    """A counter."""
    return Metric(name, Kind.COUNTER, says, labels)


def gauge(name: str, says: str, *labels: str) -> Metric:
    """A gauge."""
    return Metric(name, Kind.GAUGE, says, labels)


def histogram(name: str, says: str, *labels: str, bounds: tuple[float, ...]) -> Metric:
    """A histogram."""
    return Metric(name, Kind.HISTOGRAM, says, labels, bounds)
