"""Heartbeats per license and minute, counted from the heartbeats log beside the projections.

Not a projection: the log of heartbeats does not say whose license a session uses, and unrolling every heartbeat once
more is not to hold up the sessions (docs/adr/0022-heartbeat-minutes.md). Each stored heartbeat counts once.
"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from infra.event_store import Checkpoint, Log

FOLLOWER: Final = "usage.heartbeat_minutes"
KEPT: Final = timedelta(days=30)
"""Minutes that lie this long before the latest one are let go."""
_PAGE_EVENTS: Final = 100
_COUNT: Final = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_SAFE: Final = "select event_store.heartbeat_events_safe_position()"
_UPTO: Final = """
    select max(position), count(*) from (
        select position from event_store.heartbeat_events
        where position > %(after)s and position <= %(safe)s order by position limit %(most)s
    ) page
"""
_CLAIM: Final = """
    with claimed as (
        delete from read_model.heartbeat_minutes_unclaimed unclaimed
        using read_model.sessions s
        where s.session_id = unclaimed.session_id and s.license_id is not null
        returning s.license_id, minute_start_at, heartbeats, max_delay_seconds
    )
    insert into read_model.heartbeat_minutes as known (license_id, minute_start_at, heartbeats, max_delay_seconds)
    select license_id, minute_start_at, sum(heartbeats), max(max_delay_seconds)
    from claimed
    group by license_id, minute_start_at
    on conflict (license_id, minute_start_at) do update
    set heartbeats = known.heartbeats + excluded.heartbeats,
        max_delay_seconds = greatest(known.max_delay_seconds, excluded.max_delay_seconds)
"""
_LET_GO: Final = """
    delete from {table}
    where minute_start_at < (select max(minute_start_at) from read_model.heartbeat_minutes) - %s
"""


def count_heartbeat_minutes(connection: psycopg.Connection[Any], *, within: timedelta) -> int:
    """Count the heartbeats stored since the last time, a page per transaction, as far as one gets within a time.

    Several callers at once take turns page by page.

    Args:
        connection: to the database, in no transaction.
        within: no page is begun after so long; the next call goes on from there.

    Returns:
        how many stored batches were counted, with the markers among them.
    """
    until = time.monotonic() + within.total_seconds()
    with connection.transaction():
        connection.execute(_CLAIM)
        ((safe,),) = connection.execute(_SAFE).fetchall()  # asked before the rows are, in a transaction before theirs
    events = 0
    while counted := _count_page(connection, safe=safe):
        events += counted
        if time.monotonic() > until:
            break
    with connection.transaction():
        for table in ("heartbeat_minutes", "heartbeat_minutes_unclaimed"):
            connection.execute(_LET_GO.format(table=f"read_model.{table}"), (KEPT,))
    return events


def _count_page(connection: psycopg.Connection[Any], *, safe: int) -> int:
    """Count a page after the checkpoint, and move that; 0: there is none."""
    with connection.transaction():
        after = Checkpoint.hold(connection, FOLLOWER, Log.HEARTBEATS)
        asked = {"after": after, "safe": safe, "most": _PAGE_EVENTS}
        ((upto, events),) = connection.execute(_UPTO, asked).fetchall()
        if upto is None:
            return 0
        connection.execute(_COUNT, {"after": after, "upto": upto})
        Checkpoint.advance(connection, FOLLOWER, Log.HEARTBEATS, expected=after, to=upto)
        return int(events)
