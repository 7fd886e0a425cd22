"""Questions that tasks ask of the read models: plain SQL on a psycopg connection.

The answers are candidates. They may be late or wrong; the log and the aggregates decide.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row, scalar_row

from projections.heartbeat_minutes import count_heartbeat_minutes
from projections.lag import StillBehindError
from projections.letter_groups import LetterGroup, letters_of
from projections.letters import (
    FailureCount,
    LetterFilter,
    LetterRow,
    count_dead_letters,
    dead_letters,
    failures_in_last_window,
    replayed_runs,
    replays,
)
from projections.notice_list import NoticeFilter, notices
from projections.open_sessions import open_sessions, wait_for_sessions
from projections.retention import KeepingSessions, followers_behind, keeping_sessions
from projections.silences import SilentSession, blind_windows, silent_sessions
from projections.usage import UsageCounts, aggregate_usage
from projections.webhook_list import DeliveryFilter, webhook_deliveries

__all__ = [
    "DeliveryFilter",
    "FailureCount",
    "KeepingSessions",
    "LetterFilter",
    "LetterGroup",
    "LetterRow",
    "NoticeFilter",
    "SilentSession",
    "StillBehindError",
    "UsageCounts",
    "aggregate_usage",
    "blind_windows",
    "count_dead_letters",
    "count_heartbeat_minutes",
    "dead_letters",
    "failures_in_last_window",
    "followers_behind",
    "keeping_sessions",
    "letters_of",
    "licenses_to_judge",
    "log_time",
    "notices",
    "open_sessions",
    "replayed_runs",
    "replays",
    "silent_sessions",
    "starving_runs",
    "wait_for_sessions",
    "webhook_deliveries",
]


def licenses_to_judge(
    connection: psycopg.Connection[Any], *, now: datetime, horizon_days: int = 30, limit: int
) -> list[str]:
    """Ids of licenses for which a notice or the end of the term has come due by ``now``, the longest due first.

    At most ``limit`` of them, and only such as end their term within ``horizon_days`` of ``now``.
    """
    asked = {"now": now, "horizon": now + timedelta(days=horizon_days), "limit": limit}
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_DUE, asked).fetchall()


def log_time(connection: psycopg.Connection[Any]) -> datetime | None:
    """Log time: everything that was sent before it is in the log; None where no marker has come through yet."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_LOG_TIME).fetchone()


class StarvingRun(NamedTuple):
    """A run that seems to wait in its queue while more urgent ones begin.

    Attributes:
        run_id: the run.
        queue: where it waits.
        published_at: since when.
    """

    run_id: str
    queue: str
    published_at: datetime


def starving_runs(
    connection: psycopg.Connection[Any], *, below: dict[str, int], waited: timedelta, limit: int
) -> list[StarvingRun]:
    """Runs that have waited for longer than ``waited`` while a more urgent one of their queue began, the oldest first.

    Args:
        connection: to the read models.
        below: the highest priority of each queue; a run that has it cannot be raised.
        waited: how long they must have waited.
        limit: at most so many.
    """
    asked = {"queues": list(below), "highest": list(below.values()), "waited": waited, "limit": limit}
    with connection.cursor(row_factory=class_row(StarvingRun)) as cursor:
        return cursor.execute(_STARVING, asked).fetchall()


def runs_of_trace(connection: psycopg.Connection[Any], trace_id: str, limit: int, *, within: timedelta) -> list[str]:
    """Runs that are, or an attempt of which is, in a trace, in order of acceptance; at most so many.

    No index has it: people ask rarely, and every run would pay. All runs and attempts are looked at.

    Raises:
        psycopg.errors.QueryCanceled: it takes longer than ``within``.
    """
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        limit_ms = str(int(within.total_seconds() * 1000))
        cursor.execute("select set_config('statement_timeout', %s, true)", (limit_ms,))
        return cursor.execute(_OF_TRACE, {"trace_id": trace_id, "limit": limit}).fetchall()


_OF_TRACE: Final = """
    select run_id
    from read_model.task_runs
    where coalesce(trace_id, md5(correlation_id)) = %(trace_id)s
        or run_id in (select run_id from read_model.task_attempts where trace_id = %(trace_id)s)
    order by accepted_at, run_id
    limit %(limit)s
"""

_STARVING: Final = """
    select waiting.run_id, waiting.queue, waiting.published_at
    from unnest(%(queues)s::text[], %(highest)s::int[]) as queue (name, highest)
    join read_model.task_runs waiting on waiting.queue = queue.name and waiting.priority < queue.highest
    where waiting.state = 'published' and waiting.ended_at is null
        and waiting.published_at < now() - %(waited)s
        and exists (
            select from generate_series(waiting.priority + 1, queue.highest) as level
            cross join lateral (
                select from read_model.task_runs passing
                where passing.queue = waiting.queue and passing.priority = level
                    and passing.first_started_at > waiting.published_at
                limit 1
            ) passed)
    order by waiting.published_at
    limit %(limit)s
"""

_LOG_TIME: Final = "select log_time from read_model.log_time"

_DUE: Final = """
    select license_id
    from read_model.licenses
    where state in ('active', 'suspended') and next_due_at <= %(now)s and valid_until <= %(horizon)s
    order by next_due_at, license_id
    limit %(limit)s
"""
