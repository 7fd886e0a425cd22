"""Questions that tasks ask of the read models: plain SQL on a psycopg connection.

The answers are candidates. They may be late or wrong; the log and the aggregates decide.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row, scalar_row

from projections.lag import StillBehindError
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
from projections.usage import UsageCounts, aggregate_usage

__all__ = [
    "FailureCount",
    "KeepingSessions",
    "LapseCandidate",
    "LetterFilter",
    "LetterRow",
    "NoticeFilter",
    "ResumeCandidate",
    "StillBehindError",
    "UsageCounts",
    "aggregate_usage",
    "count_dead_letters",
    "dead_letters",
    "failures_in_last_window",
    "followers_behind",
    "keeping_sessions",
    "lapse_candidates",
    "licenses_to_judge",
    "log_time",
    "notices",
    "open_sessions",
    "replayed_runs",
    "replays",
    "resume_candidates",
    "starving_runs",
    "wait_for_sessions",
]


class LapseCandidate(NamedTuple):
    """A session that seems to have been silent for longer than its patience.

    Attributes:
        session_id: the session.
        last_heartbeat_at: its last sign of life: heartbeat, start or return from a lapse.
        judged_at: log time; everything sent before it has been looked at.
    """

    session_id: str
    last_heartbeat_at: datetime
    judged_at: datetime


class ResumeCandidate(NamedTuple):
    """A lapsed session that has sent a heartbeat since its lapse.

    Attributes:
        session_id: the session.
        heartbeat_at: the first heartbeat after its lapse.
    """

    session_id: str
    heartbeat_at: datetime


def lapse_candidates(connection: psycopg.Connection[Any], *, limit: int) -> list[LapseCandidate]:
    """Active sessions silent in log time for more than their patience, the longest silent first; at most ``limit``.

    A heartbeat proves life when it is recorded, too: a session whose clock is behind is not silent while they come.
    """
    with connection.cursor(row_factory=class_row(LapseCandidate)) as cursor:
        return cursor.execute(_SILENT, {"limit": limit}).fetchall()


def resume_candidates(connection: psycopg.Connection[Any], *, window: timedelta, limit: int) -> list[ResumeCandidate]:
    """Lapsed sessions that came back within ``window`` after their patience, the first first; at most ``limit``.

    It is the first heartbeat after the lapse that counts, however many have come since: it does not matter when one
    asks. A session whose first one came too late will never resume, and is not suggested.
    """
    with connection.cursor(row_factory=class_row(ResumeCandidate)) as cursor:
        return cursor.execute(_COME_BACK, {"window": window, "limit": limit}).fetchall()


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

_SILENT: Final = """
    select session_id, last_sign_at as last_heartbeat_at, log_time as judged_at
    from (
        select session_id, patience_seconds, log_time, last_heard_at,
               greatest(started_at, resumed_at, last_heartbeat_at) as last_sign_at
        from read_model.sessions, read_model.log_time
        where state = 'active'
    ) active
    where log_time - greatest(last_sign_at, last_heard_at) > make_interval(secs => patience_seconds)
    order by last_sign_at, session_id
    limit %(limit)s
"""

_COME_BACK: Final = """
    select session_id, heartbeat_at
    from (
        select session_id, ended_at, patience_seconds,
               coalesce(
                   (select min(heartbeat_at) from read_model.session_returns r
                    where r.session_id = s.session_id and r.heartbeat_at > s.ended_at),
                   last_heartbeat_at
               ) as heartbeat_at
        from read_model.sessions s
        where state = 'lapsed' and last_heartbeat_at > ended_at
    ) back
    where heartbeat_at - ended_at <= make_interval(secs => patience_seconds) + %(window)s
    order by heartbeat_at, session_id
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
