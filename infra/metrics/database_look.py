"""What the database says when it is asked: how far everything has come, and what room there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeAlias

import psycopg
import structlog
from prometheus_client.metrics_core import GaugeMetricFamily as Family

from domain.tier import Tier
from infra.database import DatabaseUnreachableError, connect
from infra.database.errors import database_faults
from infra.event_store.backlog import count_backlog, oldest_in_backlog
from infra.event_store.watermarks import log_time
from infra.metrics import catalog
from infra.metrics.instruments import family
from infra.metrics.metric import Metric
from infra.settings import Settings

WITHIN_SECONDS: Final = 6.0
"""What all questions may take together, with connecting."""
QUESTION_SECONDS: Final = 2.0
"""What one of them may."""
MOST_COUNTED_RUNS: Final = 10_000

_FOLLOWED: Final = """
    select projection, log, safe_position, lag_events, lag_seconds, parked_events from analytics.meta_freshness
"""
_UNSEALED: Final = """
    select log, coalesce(extract(epoch from now() - waiting_since_at), 0)::double precision from analytics.meta_seals
"""
# By read_model.task_runs_waiting (migration 0048), one entry of it per queue.
_OLDEST: Final = """
    select tier.queue, coalesce(extract(epoch from now() - oldest.published_at), 0)::double precision
    from unnest(%s::text[]) as tier (queue)
    left join lateral (
        select run.published_at from read_model.task_runs run
        where run.queue = tier.queue and run.state = 'published' and run.ended_at is null
        order by run.published_at limit 1
    ) oldest on true
"""
# By event_store.licensing_fired (migration 0048), its last entry.
_LAST_FIRED: Final = """
    select coalesce((
        select extract(epoch from recorded_at)::double precision from event_store.licensing_events
        where name = 'schedule.fired' order by position desc limit 1), 0)
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
    catalog.DATABASE_CONNECTIONS: "select count(*) from pg_stat_activity where backend_type = 'client backend'",
    catalog.DATABASE_CONNECTIONS_LIMIT: "select current_setting('max_connections')::int",
    catalog.DATABASE_SIZE: "select pg_database_size(current_database())",
}
_BY_LABEL: Final[dict[Metric, tuple[str, tuple[Any, ...]]]] = {
    catalog.UNSEALED_AGE: (_UNSEALED, ()),
    catalog.QUEUE_OLDEST: (_OLDEST, ([tier.queue for tier in Tier],)),
}

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("ledgerq.metrics")

_Families: TypeAlias = dict[Metric, Family]
_Question: TypeAlias = Callable[[psycopg.Connection[Any], _Families], None]


class DatabaseLook:
    """Everything, over a connection of its own each time; what takes too long is left out, and said once in the log."""

    def __init__(self) -> None:
        self._late: set[str] = set()

    def __call__(self, settings: Settings) -> list[Family]:
        """Every family; without samples where the question took too long.

        Raises:
            DatabaseUnreachableError: there is no connection, it broke, or nothing was answered in time.
            psycopg.Error: the database is not migrated.
        """
        deadline = time.monotonic() + WITHIN_SECONDS
        families = {metric: family(metric) for metric in catalog.DATABASE}
        with connect(settings, name="metrics") as connection, database_faults(connection):
            answered = [self._ask(connection, name, question, families, deadline) for name, question in _questions()]
        if not any(answered):
            raise DatabaseUnreachableError("no question was answered in time")
        return list(families.values())

    def _ask(
        self,
        connection: psycopg.Connection[Any],
        name: str,
        question: _Question,
        families: _Families,
        deadline: float,
    ) -> bool:
        """Whether it was answered in time."""
        limit_ms = int(1000 * min(QUESTION_SECONDS, deadline - time.monotonic()))
        in_time = limit_ms > 0  # the server takes 0 for no limit
        if in_time:
            try:
                connection.execute(f"set statement_timeout = {limit_ms}".encode())
                question(connection, families)
            except psycopg.errors.QueryCanceled:
                in_time = False
        if in_time:
            self._late.discard(name)
        elif name not in self._late:
            self._late.add(name)
            _log.warning("the database takes too long to say; left out of the metrics", question=name)
        return in_time


def _questions() -> Iterator[tuple[str, _Question]]:
    """In the order of how much is lost without them; what grows with the database comes last."""
    yield "how far projections have come", _followed
    yield "log time", _time
    for tier in Tier:
        yield f"age of the backlog of {tier}", partial(_backlog_age, tier)
        yield f"backlog of {tier}", partial(_backlog_runs, tier)
    for metric, (asked, given) in _BY_LABEL.items():
        yield metric.name, partial(_by_label, metric, asked, given)
    for metric, asked in _SINGLE.items():
        yield metric.name, partial(_single, metric, asked)


def _followed(connection: psycopg.Connection[Any], families: _Families) -> None:
    positions: dict[str, int] = {}
    for projection, log, safe_position, *figures in connection.execute(_FOLLOWED.encode()).fetchall():
        positions[log] = safe_position
        for metric, figure in zip((catalog.LAG_EVENTS, catalog.LAG_SECONDS, catalog.PARKED), figures, strict=True):
            families[metric].add_metric([projection, log], figure)
    for log, reached in positions.items():
        families[catalog.LOG_POSITION].add_metric([log], reached)


def _time(connection: psycopg.Connection[Any], families: _Families) -> None:
    """Nothing where ingest has never said so."""
    if (reached := log_time(connection)) is not None:
        families[catalog.LOG_TIME].add_metric([], reached.timestamp())


def _backlog_age(tier: Tier, connection: psycopg.Connection[Any], families: _Families) -> None:
    oldest = oldest_in_backlog(connection, tier)
    families[catalog.BACKLOG_AGE].add_metric([tier.value], 0.0 if oldest is None else oldest.total_seconds())


def _backlog_runs(tier: Tier, connection: psycopg.Connection[Any], families: _Families) -> None:
    families[catalog.BACKLOG_RUNS].add_metric([tier.value], count_backlog(connection, tier, most=MOST_COUNTED_RUNS))


def _by_label(
    metric: Metric, asked: str, given: tuple[Any, ...], connection: psycopg.Connection[Any], families: _Families
) -> None:
    for label, figure in connection.execute(asked.encode(), given).fetchall():
        families[metric].add_metric([label], figure)


def _single(metric: Metric, asked: str, connection: psycopg.Connection[Any], families: _Families) -> None:
    ((figure,),) = connection.execute(asked.encode()).fetchall()
    families[metric].add_metric([], figure)
