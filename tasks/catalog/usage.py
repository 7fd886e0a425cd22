"""Usage per license, by hour and by day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from projections.queries import aggregate_usage
from tasks.app import task
from tasks.catalog.reading import read_models
from tasks.wiring import wiring


@task("aggregate_usage_metrics")
def aggregate_usage_metrics(*, hours: float | None = None) -> dict[str, Any]:
    """Bring sessions, session-seconds and peak concurrent seats per license, hour and day up to date.

    What changed since the last time is counted, however long ago it was: late events and corrections too.

    Args:
        hours: count the latest hours anew besides, whether something has changed or not.

    Returns:
        rows written: ``hours`` and ``days``; ``duration_seconds``.
    """
    began = time.monotonic()
    since = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
    with read_models(wiring().engine) as connection:
        counts = aggregate_usage(connection, since=since)
    return {"hours": counts.hours, "days": counts.days, "duration_seconds": round(time.monotonic() - began, 3)}
