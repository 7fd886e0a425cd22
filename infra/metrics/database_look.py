"""What the database says when it is asked: how far everything has come, and what room there is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import psycopg
from prometheus_client.metrics_core import GaugeMetricFamily as Family

from domain.tier import Tier
from infra.database import connect
from infra.database.errors import database_faults
from infra.event_store.backlog import count_backlog, oldest_in_backlog
from infra.event_store.watermarks import log_time
from infra.metrics import catalog
from infra.metrics.instruments import family
from infra.metrics.metric import Metric
from infra.settings import Settings

WITHIN: Final = "4s"
"""What one question may take."""
MOST_COUNTED_RUNS: Final = 10_000

_FOLLOWED: Final = """
    select projection, log, safe_position, lag_events, lag_seconds, parked_events from analytics.meta_freshness
"""
_UNSEALED: Final = """
    select log, coalesce(extract(epoch from now() - waiting_since_at), 0)::double precision from analytics.meta_seals
"""
_OLDEST: Final = """
    select tier.queue, coalesce(extract(epoch from now() - min(run.published_at)), 0)::double precision
    from unnest(%s::text[]) as tier (queue)
    left join read_model.task_runs run
        on run.queue = tier.queue and run.state = 'published' and run.ended_at is null
    group by tier.queue
"""
# No index has the name: a look back of six hours ends at the first one there is, and is short where there is none.
_LAST_FIRED: Final = """
    select coalesce((
        select extract(epoch from recorded_at)::double precision from event_store.licensing_events
        where name = 'schedule.fired' and recorded_at > now() - interval '6 hours'
        order by position desc limit 1), 0)
"""
_MONTHS_AHEAD: Final = """
    select count(*) from pg_inherits join pg_class part on part.oid = inhrelid
    where inhparent = 'event_store.heartbeat_events'::regclass
        and part.relname ~ '^heartbeat_events_[0-9]{4}_[0-9]{2}$'
        and part.relname > 'heartbeat_events_' || to_char(now() at time zone 'UTC', 'YYYY_MM')
"""
_SINGLE: Final[dict[Metric, str]] = {
    catalog.SCHEDULE_FIRED_AT: _LAST_FIRED,
    catalog.MONTHS_AHEAD: _MONTHS_AHEAD,
    catalog.DATABASE_SIZE: "select pg_database_size(current_database())",
    catalog.DATABASE_CONNECTIONS: "select count(*) from pg_stat_activity where backend_type = 'client backend'",
    catalog.DATABASE_CONNECTIONS_LIMIT: "select current_setting('max_connections')::int",
}
_BY_LABEL: Final[dict[Metric, tuple[str, tuple[Any, ...]]]] = {
    catalog.UNSEALED_AGE: (_UNSEALED, ()),
    catalog.QUEUE_OLDEST: (_OLDEST, ([tier.queue for tier in Tier],)),
}


def look_at_database(settings: Settings) -> Iterable[Family]:
    """Everything, over a connection of its own.

    Raises:
        DatabaseUnreachableError: there is no connection, or it broke.
        psycopg.Error: it did not answer in time, or is not migrated.
    """
    with connect(settings, name="metrics") as connection, database_faults(connection):
        connection.execute(f"set statement_timeout = '{WITHIN}'".encode())
        return [*_followed(connection), *_backlogs(connection), *_time(connection), *_figures(connection)]


def _followed(connection: psycopg.Connection[Any]) -> Iterable[Family]:
    lag = {metric: family(metric) for metric in (catalog.LAG_EVENTS, catalog.LAG_SECONDS, catalog.PARKED)}
    positions: dict[str, int] = {}
    for projection, log, safe_position, *figures in connection.execute(_FOLLOWED.encode()).fetchall():
        positions[log] = safe_position
        for found, figure in zip(lag.values(), figures, strict=True):
            found.add_metric([projection, log], figure)
    position = family(catalog.LOG_POSITION)
    for log, reached in positions.items():
        position.add_metric([log], reached)
    return *lag.values(), position


def _backlogs(connection: psycopg.Connection[Any]) -> Iterable[Family]:
    runs, age = family(catalog.BACKLOG_RUNS), family(catalog.BACKLOG_AGE)
    for tier in Tier:
        runs.add_metric([tier.value], count_backlog(connection, tier, most=MOST_COUNTED_RUNS))
        oldest = oldest_in_backlog(connection, tier)
        age.add_metric([tier.value], 0.0 if oldest is None else oldest.total_seconds())
    return runs, age


def _time(connection: psycopg.Connection[Any]) -> Iterable[Family]:
    """Nothing where ingest has never said so."""
    found = family(catalog.LOG_TIME)
    if (reached := log_time(connection)) is not None:
        found.add_metric([], reached.timestamp())
    yield found


def _figures(connection: psycopg.Connection[Any]) -> Iterable[Family]:
    for metric, asked in _SINGLE.items():
        found = family(metric)
        ((figure,),) = connection.execute(asked.encode()).fetchall()
        found.add_metric([], figure)
        yield found
    for metric, (asked, given) in _BY_LABEL.items():
        found = family(metric)
        for label, figure in connection.execute(asked.encode(), given).fetchall():
            found.add_metric([label], figure)
        yield found
