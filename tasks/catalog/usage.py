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
def aggregate_usage_metrics(*, hours: float = 48) -> dict[str, Any]:
    """Compute sessions, session-seconds and peak concurrent seats per license anew for the latest hours and their days.

    Args:
        hours: how far back; events that are later than this are left out until somebody asks for more.

    Returns:
        rows written: ``hours`` and ``days``; the window (``since``, ``until``) and ``duration_seconds``.
    """
    began = time.monotonic()
    until = datetime.now(UTC)
    since = until - timedelta(hours=hours)
    with read_models(wiring().engine) as connection:
        counts = aggregate_usage(connection, since=since, until=until)
    return {
        "hours": counts.hours,
        "days": counts.days,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "duration_seconds": round(time.monotonic() - began, 3),
    }
