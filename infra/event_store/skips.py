"""Reading skips: which events somebody decided not to count; asked for at every page, so by an index of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from psycopg import Connection

from infra.event_store.log import Log

# The name stands in the text and is no parameter: else the planner could not see that the partial index has the rows.
_SKIPPED: Final = """
    select (data->>'position')::bigint as position from event_store.licensing_events skip
    where name = 'event.skipped' and data->>'log' = %(log)s
        and (data->>'position')::bigint between %(first)s and %(last)s
        and recorded_at <= coalesce(%(known_by)s::timestamptz, 'infinity')
        and not exists (
            select from event_store.licensing_events undone
            where undone.stream_id = skip.stream_id and undone.version = skip.version + 1
                and undone.recorded_at <= coalesce(%(known_by)s::timestamptz, 'infinity')
        )
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
        known_by: what was decided later does not count; None: all does.
    """
    asked = {"log": log.value, "first": first, "last": last, "known_by": known_by}
    return {position for (position,) in connection.execute(_SKIPPED, asked, prepare=True).fetchall()}
