"""How the database is, and what it knows of processes and projections."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg.rows import class_row, dict_row

from infra.database import DatabaseUnreachableError, connect
from infra.database.errors import database_faults
from infra.health.component import Component, Status, judged
from infra.health.lookout import Sight
from infra.health.processes import SINGLE, Limits, Process, judge
from infra.settings import Settings

_PROCESSES: Final = """
    select p.name, p.role as process, p.ready, p.state,
           extract(epoch from clock_timestamp() - p.told_at)::double precision as told_seconds,
           extract(epoch from clock_timestamp() - p.turned_at)::double precision as turned_seconds,
           extract(epoch from clock_timestamp() - p.started_at)::double precision as up_seconds,
           exists (select from pg_stat_activity a where a.pid = p.session and a.datname = current_database())
               as has_session
    from runtime.processes p
    order by p.name
"""
_LAG: Final = """
    select projection, log, lag_events::bigint as events, lag_seconds::double precision as seconds,
           parked_events::bigint as parked
    from analytics.meta_freshness
    order by projection, log
"""
_LOG_TIME: Final = """
    select extract(epoch from now() - source_last_recorded_at)::double precision
    from analytics.meta_freshness where log = 'heartbeats' limit 1
"""
MISSED_MARKERS: Final = 3
"""Ingest's marker reaches the log of heartbeats at an interval; missing so often, nothing reaches any log."""


class DatabaseSight(Sight):
    """Asks on one session, which it opens again when it was lost.

    Args:
        settings: for the database, and for what counts as late.
    """

    names = ("database", "celery", *SINGLE, "projections")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Say goodbye."""
        self._leave()

    def look(self) -> dict[str, Component]:
        """A few statements, each ended by the server when it takes too long.

        Raises:
            DatabaseUnreachableError: the database is away, or has not been migrated.
        """
        try:
            connection = self._connected()
            with database_faults(connection):
                return self._look(connection)
        except (DatabaseUnreachableError, psycopg.Error) as error:
            self._leave()
            raise DatabaseUnreachableError(str(error).strip()) from error

    def _look(self, connection: psycopg.Connection[Any]) -> dict[str, Component]:
        began = time.monotonic()
        connection.execute("select 1")
        answered_ms = round((time.monotonic() - began) * 1000, 1)
        limits = Limits(self._settings.pulse_interval_seconds, self._settings.hang_after_seconds)
        with connection.cursor(row_factory=class_row(Process)) as cursor:
            processes = judge(cursor.execute(_PROCESSES).fetchall(), limits)
        return {
            "database": Component(Status.HEALTHY, facts={"answers_in_ms": answered_ms}),
            **processes,
            "projections": self._projections(connection),
        }

    def _projections(self, connection: psycopg.Connection[Any]) -> Component:
        with connection.cursor(row_factory=dict_row) as cursor:
            lag = cursor.execute(_LAG).fetchall()
        row = connection.execute(_LOG_TIME).fetchone()
        silent_seconds = row[0] if row else None
        facts = {"lag": lag, "log_silent_seconds": silent_seconds}
        return judged(self._late(lag, silent_seconds), facts)

    def _late(self, lag: list[dict[str, Any]], silent_seconds: float | None) -> Iterator[tuple[Status, str]]:
        limit = self._settings.lag_limit_seconds
        for row in lag:
            if (row["seconds"] or 0) > limit:
                yield Status.DEGRADED, f"{row['projection']} is {row['seconds']:.0f} s behind {row['log']}"
        for name in sorted({row["projection"] for row in lag if row["parked"]}):
            yield Status.DEGRADED, f"{name} has parked events"
        if silent_seconds is None or silent_seconds > MISSED_MARKERS * self._settings.watermark_interval_seconds:
            yield Status.DEGRADED, "nothing reaches the logs: ingest's marker has not come through"

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = connect(self._settings, name="monitor")
            limit_ms = int(self._settings.monitor_patience_seconds * 1000)
            self._connection.execute(f"set statement_timeout = {limit_ms}".encode())
        return self._connection

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
