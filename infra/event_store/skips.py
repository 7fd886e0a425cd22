"""Reading skips: which events somebody decided not to count; asked for at every page, so by an index of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from psycopg import Connection

from infra.event_store.log import Log

# The name stands in the text and is no parameter: else the planner could not see that the partial index has the rows.
_SKIPPED: Final = """
    select (data->>'position')::bigint as position from event_store.licensing_events
    where name = 'event.skipped' and data->>'log' = %s and (data->>'position')::bigint between %s and %s
        and recorded_at <= coalesce(%s::timestamptz, 'infinity')
"""


def skipped_positions(
    connection: Connection[Any], log: Log, *, first: int, last: int, known_by: datetime | None = None
) -> set[int]:
    """Positions of a log whose events are skipped, as the caller's transaction sees it.

    Args:
        connection: where to ask.
        log: which.
        first: the lowest position asked about.
        last: the highest.
        known_by: skips recorded later do not count; None: all count.
    """
    asked = (log.value, first, last, known_by)
    return {position for (position,) in connection.execute(_SKIPPED, asked, prepare=True).fetchall()}
