"""What dispatch's log lines say of a run."""

from __future__ import annotations

from typing import Any

from domain.task_run import RUN_STREAM_PREFIX, TaskRequested
from infra.event_store import Recorded
from infra.tracing.ids import trace_of


def fields_of(run: Recorded) -> dict[str, Any]:
    """The fields of a requested run (docs/logs.md)."""
    event, metadata = run.event, run.metadata
    correlation_id = str(metadata.get("correlation_id", ""))
    fields = {
        "run_id": run_id_of(event.originator_id),
        "correlation_id": correlation_id,
        "trace_id": trace_of(metadata.get("traceparent"), correlation_id),
    }
    if isinstance(event, TaskRequested):
        fields |= {"task": event.task, "tier": event.tier}
        if event.license_id is not None:
            fields["license_id"] = event.license_id
    return fields


def run_id_of(stream: str) -> str:
    """The run whose stream it is."""
    return stream.removeprefix(RUN_STREAM_PREFIX)
