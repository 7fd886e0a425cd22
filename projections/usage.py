"""Usage: how many sessions each license had in each hour and day, for how long, and how many at once.

Not a projection: the numbers are computed from the sessions read model as it stands, for the hours asked for, and
computing them again gives the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STATEMENT: Final = Path(__file__).with_name("usage.sql").read_text(encoding="utf-8")


class UsageCounts(NamedTuple):
    """How many rows were written: pairs of license and hour, and of license and day."""

    hours: int
    days: int


def aggregate_usage(connection: psycopg.Connection[Any], *, since: datetime, until: datetime) -> UsageCounts:
    """Bring ``usage_hourly`` and ``usage_daily`` up to date for every hour and day that touches [since, until).

    One transaction (or savepoint). Callers at the same time take turns.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtextextended('ledgerq.usage', 0))")
        hours = _aggregate(connection, "usage_hourly", "hour_start_at", width=_HOUR, window=(since, until))
        days = _aggregate(connection, "usage_daily", "day_start_at", width=_DAY, window=(since, until))
    return UsageCounts(hours, days)


def _aggregate(
    connection: psycopg.Connection[Any],
    table: str,
    bucket: str,
    *,
    width: timedelta,
    window: tuple[datetime, datetime],
) -> int:
    statement = sql.SQL(_STATEMENT).format(table=sql.Identifier("read_model", table), bucket=sql.Identifier(bucket))
    first, last = (moment - (moment - _EPOCH) % width for moment in window)
    until = last if last == window[1] else last + width
    return connection.execute(statement, {"since": first, "until": until, "hours": width // _HOUR}).rowcount
