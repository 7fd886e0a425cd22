"""The open sessions of one license, for whoever has to end them all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import scalar_row

from infra.event_store import Log
from projections.lag import wait_for
from projections.sessions import Sessions

_END_OF_LOG: Final = "select event_store.licensing_events_safe_position()"
_OPEN: Final = """
    select s.session_id
    from read_model.sessions s
    where s.license_id = %(license_id)s
        and (%(started_before)s::timestamptz is null or s.started_at < %(started_before)s)
        and (s.state = 'active'
             or s.state = 'lapsed' and (s.on_lapse = 'keep' or s.resurrection = 'always'
                                        or s.patience_over_at > %(at)s - interval '1 day'
                                        or exists (  -- the time to resume begins anew where a blind window ends
                                            select from read_model.blind_windows w
                                            where w.until_at > %(at)s - interval '1 day'
                                                and w.since_at <= s.patience_over_at + interval '1 day')
                                        or s.last_heartbeat_at > s.lapsed_at))
    order by s.started_at, s.session_id
    limit %(limit)s
"""


def open_sessions(
    connection: psycopg.Connection[Any], license_id: str, *, at: datetime, started_before: datetime | None, limit: int
) -> list[str]:
    """Ids of the license's sessions that are active, or lapsed and may yet come back; the oldest first.

    Args:
        connection: to the read models.
        license_id: whose.
        at: about now; a session whose patience was over a day before then does not come back, unless its rules keep it
            or let it always, a blind window put that off, or its heartbeats have returned and it waits for a seat.
        started_before: those that started then or later are left out; None: none are.
        limit: at most so many.
    """
    asked = {"license_id": license_id, "at": at, "started_before": started_before, "limit": limit}
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_OPEN, asked).fetchall()


def wait_for_sessions(connection: psycopg.Connection[Any], *, within: timedelta) -> None:
    """Return once the sessions table has seen everything that is in the log by now.

    Args:
        connection: to the read models; each of its statements has to see what is committed by then.
        within: how long to wait.

    Raises:
        StillBehindError: it has not come there in time.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        end = cursor.execute(_END_OF_LOG).fetchone()
    wait_for(connection, Sessions(), Log.LICENSING, end or 0, within=within)
