from __future__ import annotations

import re

import pytest

from infra.metrics.catalog import PLATFORM, SHOWN
from infra.metrics.metric import Kind, Metric

ALL = sorted({metric for shown in SHOWN.values() for metric in shown} | set(PLATFORM))
UNITS = ("_seconds", "_bytes", "_messages", "_events", "_runs", "_total")
UNITLESS = {
    "ledgerq_leader", "ledgerq_up", "ledgerq_dispatch_held", "ledgerq_queue_consumers", "ledgerq_broker_alarm",
    "ledgerq_log_position", "ledgerq_heartbeat_months_ahead", "ledgerq_database_connections",
    "ledgerq_database_connections_limit", "ledgerq_worker_children", "ledgerq_worker_busy", "ledgerq_worker_in_hand",
    "ledgerq_worker_unrecorded", "ledgerq_worker_connected",
}  # fmt: skip
"""Switches, and numbers of what is named."""
IDS = re.compile(r"(^|_)(id|uuid|run|session|license|trace|correlation|message)$")


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_names_and_labels_are_as_prometheus_has_them(metric: Metric) -> None:
    assert re.fullmatch(r"ledgerq_[a-z][a-z_]*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith(UNITS) or metric.name in UNITLESS
    assert (metric.kind is Kind.HISTOGRAM) == bool(metric.bounds)
    assert list(metric.bounds) == sorted(set(metric.bounds))
    assert metric.says.endswith(".")
    assert not [label for label in metric.labels if IDS.search(label)]


def test_one_name_is_one_metric() -> None:
    assert len({metric.name for metric in ALL}) == len(ALL)
