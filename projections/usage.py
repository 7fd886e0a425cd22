"""Usage: how many sessions each license had in each hour and day, for how long, and how many at once.

Not a projection: it follows the sessions read model, whatever changes that (docs/adr/0021-usage.md). Triggers leave
behind what a session was before it changed, so that a count takes in just the hours in which something counts
otherwise, and log time's advance. After it usage is what counting all sessions by hand gives.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

_STALE, _HOURS, _DAYS = (
    Path(__file__).with_name(f"usage_{part}.sql").read_text(encoding="utf-8") for part in ("stale", "hours", "days")
)
_TURN: Final = "lock table read_model.usage_progress in exclusive mode"
_TEMPORARY: Final = """
    create temporary table stale_hours (
        license_id text, hour_start_at timestamptz, primary key (license_id, hour_start_at)
    ) on commit drop
"""
_CLEAR_HOURS: Final = """
    delete from read_model.usage_hourly old
    using pg_temp.stale_hours stale
    where (old.license_id, old.hour_start_at) = (stale.license_id, stale.hour_start_at)
"""
_CLEAR_DAYS: Final = """
    delete from read_model.usage_daily old
    using (
        select distinct license_id, date_bin('24 hours', hour_start_at, 'epoch') as day_start_at
        from pg_temp.stale_hours
    ) stale
    where (old.license_id, old.day_start_at) = (stale.license_id, stale.day_start_at)
"""
_BEGINNING: Final = datetime.fromisoformat("0001-01-02T00:00:00+00:00")
_NEVER: Final = "select not exists (select from read_model.usage_progress)"
_DONE: Final = """
    insert into read_model.usage_progress (log_time) values ((select log_time from read_model.log_time))
    on conflict (is_only_row) do update set log_time = excluded.log_time, counted_at = clock_timestamp()
"""


class UsageCounts(NamedTuple):
    """How many rows were written: pairs of license and hour, and of license and day."""

    hours: int
    days: int


def aggregate_usage(connection: psycopg.Connection[Any], *, since: datetime | None = None) -> UsageCounts:
    """Bring ``usage_hourly`` and ``usage_daily`` up to date with the sessions and log time as they are now.

    The first time everything is counted. Callers at the same time take turns, and projections go on meanwhile: what
    they change after this has begun is taken in the next time.

    Args:
        connection: to the read models, in no transaction: this makes one, in which everything is seen as of one moment.
        since: count every hour from that of this moment on anew, whether something has changed or not.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        connection.execute(_TURN)  # takes no snapshot: what the one before us has done is seen
        (is_first,) = connection.execute(_NEVER).fetchone() or (True,)
        connection.execute(_TEMPORARY)
        connection.execute(_STALE, {"since": _BEGINNING if is_first else since})
        connection.execute("analyze pg_temp.stale_hours")
        connection.execute(_CLEAR_HOURS)
        hours = connection.execute(_HOURS).rowcount
        connection.execute(_CLEAR_DAYS)
        days = connection.execute(_DAYS).rowcount
        connection.execute(_DONE)
    return UsageCounts(hours, days)
