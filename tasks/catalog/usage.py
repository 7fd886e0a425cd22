"""Usage per license, by hour and by day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from projections.queries import aggregate_usage, count_heartbeat_minutes
from tasks.app import task
from tasks.catalog.reading import read_models
from tasks.wiring import wiring

COUNTING: Final = timedelta(seconds=60)
"""No page of heartbeats is begun after so long in one run; the next one goes on."""


@task("aggregate_usage_metrics")
def aggregate_usage_metrics(*, hours: float | None = None) -> dict[str, Any]:
    """Bring sessions, session-seconds and peak concurrent seats per license, hour and day up to date.

    What changed since the last time is counted, however long ago it was: late events and corrections too. Heartbeats
    stored since the last time are counted per license and minute.

    Args:
        hours: count the latest hours anew besides, whether something has changed or not.

    Returns:
        rows written: ``hours`` and ``days``; ``batches`` of heartbeats counted; ``duration_seconds``.
    """
    began = time.monotonic()
    since = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
    with read_models(wiring().engine) as connection:
        counts = aggregate_usage(connection, since=since)
        batches = count_heartbeat_minutes(connection, within=COUNTING)
    return {
        "hours": counts.hours,
        "days": counts.days,
        "batches": batches,
        "duration_seconds": round(time.monotonic() - began, 3),
    }
