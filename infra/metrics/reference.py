"""The page of metrics, written from the catalog."""

from __future__ import annotations

from collections.abc import Iterable

from infra.metrics.catalog import PLATFORM, SHOWN, port_offset
from infra.metrics.metric import Kind, Metric
from infra.process_name import ProcessName

_HEAD = """# Metrics

Each long-lived process shows its own at `http://HOST:PORT/metrics`, in Prometheus' text format. Written by `ledgerq
reference metrics`; a test compares, and another one holds it against what the processes show.

## Where

`LEDGERQ_METRICS_HOST` (default 127.0.0.1: this machine only) and `LEDGERQ_METRICS_PORT` (default 8000; 0: no metrics,
and nothing is counted). The port is where counting begins, so that one of each process fits on a machine:

| process | port | by default |
|---|---|---|
"""
_AFTER_PORTS = """
A second worker of the same tier, or a second dispatch to stand by, on the same machine gets a
`LEDGERQ_METRICS_PORT` of its own. Where a port is taken the process says so once in its log and goes on without.

Beside ours each process shows `process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`,
`process_start_time_seconds` and the others of prometheus-client. A worker's are its main process's: its pool's children
report to it and show nothing themselves, so there are no files to keep or to clear.

Counters begin at 0 when their process does. Names of tasks are those the worker knows; what comes under another name
counts as `other`. No label holds an id. Times are by the clock of the process that shows them.

Alert rules for Prometheus are in `infra/deploy/prometheus/`, dashboards for Grafana in `infra/deploy/grafana/`
([operations](../operations.md#metrics-and-alerts)).
"""
_TITLES = (
    ("Ingest", ProcessName.INGEST),
    ("Dispatch", ProcessName.DISPATCH),
    ("Workers", ProcessName.WORKER_NORMAL),
    ("Projector", ProcessName.PROJECTOR),
    ("Scheduler", ProcessName.SCHEDULER),
)


def metrics_page() -> str:
    """The page, Markdown."""
    ports = "".join(
        f"| {process.value} | +{port_offset(process)} | {8000 + port_offset(process)} |\n" for process in SHOWN
    )
    parts = [_HEAD + ports + _AFTER_PORTS]
    parts += [f"## {title}\n\n{_table(SHOWN[process])}" for title, process in _TITLES]
    parts.append(
        "## The platform\n\n"
        "What broker, database and host say when they are asked, shown by one process for all (`/metrics` of\n"
        "`ledgerq monitor`). A component that does not answer has `ledgerq_up` 0 and shows nothing else; others do.\n"
        "What the database does not say within two seconds is left out and said in the log; it is up then. A look\n"
        "takes eight seconds at most.\n\n" + _table(PLATFORM)
    )
    return "\n".join(parts)


def _table(metrics: Iterable[Metric]) -> str:
    rows = "".join(f"| `{each.name}` | {each.kind} | {_labels(each)} | {_says(each)} |\n" for each in metrics)
    return "| metric | kind | labels | |\n|---|---|---|---|\n" + rows


def _labels(metric: Metric) -> str:
    return ", ".join(f"`{label}`" for label in metric.labels)


def _says(metric: Metric) -> str:
    if metric.kind is not Kind.HISTOGRAM:
        return metric.says
    bounds = " · ".join(f"{bound:g}" for bound in metric.bounds)
    return f"{metric.says} Bounds: {bounds}."
