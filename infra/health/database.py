"""How the database is, and what it knows of processes and projections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
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
           parked_events::bigint as parked,
           extract(epoch from now() - source_last_recorded_at)::double precision as log_silent_seconds
    from analytics.meta_freshness
    order by projection, log
"""
_STATEMENTS_SHARE: Final = 0.4
"""Of the patience of the monitor, what one statement may take: two that wait leave the database its own answer."""
MISSED_MARKERS: Final = 3
"""Ingest's marker reaches the log of heartbeats at an interval; missing so often, nothing reaches any log."""


def told_processes(connection: psycopg.Connection[Any]) -> list[Process]:
    """What processes said of themselves, those that are gone included, by name."""
    with connection.cursor(row_factory=class_row(Process)) as cursor:
        return cursor.execute(_PROCESSES).fetchall()


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
        return {
            "database": Component(Status.HEALTHY, facts={"answers_in_ms": answered_ms}),
            **_known(self._processes, connection, ("celery", *SINGLE)),
            **_known(self._projections, connection, ("projections",)),
        }

    def _processes(self, connection: psycopg.Connection[Any]) -> dict[str, Component]:
        limits = Limits(self._settings.pulse_interval_seconds, self._settings.hang_after_seconds)
        return judge(told_processes(connection), limits)

    def _projections(self, connection: psycopg.Connection[Any]) -> dict[str, Component]:
        with connection.cursor(row_factory=dict_row) as cursor:
            lag = cursor.execute(_LAG).fetchall()
        silent = {row["log"]: row.pop("log_silent_seconds") for row in lag}
        silent_seconds = silent.get("heartbeats")
        facts = {"lag": lag, "log_silent_seconds": silent_seconds}
        return {"projections": judged(self._late(lag, silent_seconds), facts)}

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
            limit_ms = int(self._settings.monitor_patience_seconds * _STATEMENTS_SHARE * 1000)
            self._connection.execute(f"set statement_timeout = {limit_ms}".encode())
        return self._connection

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _known(
    ask: Callable[[psycopg.Connection[Any]], dict[str, Component]],
    connection: psycopg.Connection[Any],
    names: Iterable[str],
) -> dict[str, Component]:
    """What is asked for; that it is not known where a lock or too much work keeps it waiting."""
    try:
        return ask(connection)
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
        why = f"not known: the database answers, and not to this: {str(error).splitlines()[0]}"
        return dict.fromkeys(names, Component(Status.UNHEALTHY, why))
