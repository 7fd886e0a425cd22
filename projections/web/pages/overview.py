"""The overview: what is under way, what ended, who works and how far the read models are; anew every few seconds."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import psycopg

from infra.health.database import told_processes
from infra.health.processes import Limits, Manner, manner
from infra.web.page import Drawn, Visit
from projections.web.pages import asked
from projections.web.pages.charts import Chart, chart

DAY_FOR_SECONDS: Final = 60.0
"""How long the chart of a day is shown before it is counted again."""
_OPEN: Final = """
    select coalesce(tier, 'other') as tier,
           count(*) as runs,
           count(*) filter (where state = 'requested') as requested,
           count(*) filter (where state = 'published') as published,
           count(*) filter (where state = 'held') as held,
           count(*) filter (where state = 'running') as running,
           count(*) filter (where state = 'retrying') as retrying,
           count(*) filter (where state = 'waiting') as waiting,
           extract(epoch from now() - min(published_at) filter (where state = 'published'))::double precision as oldest,
           extract(epoch from now() - min(accepted_at))::double precision as oldest_seconds
    from read_model.task_runs
    where ended_at is null
    group by tier
    order by array_position(array['critical', 'high', 'normal', 'low'], tier)
"""
_ENDS: Final = """
    select to_char(slot at time zone 'UTC', 'HH24:MI') as at, coalesce(good, 0) as good, coalesce(bad, 0) as bad
    from generate_series(
        date_bin(%(step)s::interval, now(), 'epoch') - %(span)s::interval + %(step)s::interval,
        date_bin(%(step)s::interval, now(), 'epoch'), %(step)s::interval) as slot
    left join (
        select date_bin(%(step)s::interval, ended_at, 'epoch') as slot,
               count(*) filter (where state = 'succeeded') as good,
               count(*) filter (where state <> 'succeeded') as bad
        from read_model.task_runs
        where ended_at >= date_bin(%(step)s::interval, now(), 'epoch') - %(span)s::interval + %(step)s::interval
        group by 1) ended using (slot)
    order by slot
"""
_FAILURES: Final = """
    select run_id, task, state, error_type, error, ended_at
    from read_model.task_runs
    where ended_at is not null and state <> 'succeeded'
    order by accepted_at desc, run_id desc
    limit 8
"""
_LETTERS: Final = """
    select count(*) as letters from (
        select from read_model.dead_letters where dead_lettered_at is not null and decision is null
        limit 10001) as counted
"""
_LAG: Final = """
    select projection, sum(lag_events)::bigint as events, max(lag_seconds) as seconds,
           sum(parked_events)::bigint as parked
    from analytics.meta_freshness
    group by projection
    order by seconds desc, events desc, projection
    limit 5
"""


class _Day:
    """The chart of the last 24 hours; counting a day each few seconds for everybody who looks would be work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: tuple[float, str, Chart] | None = None

    def chart(self, connection: psycopg.Connection[Any]) -> Chart:
        """As it was at most a minute ago."""
        with self._lock:
            database = connection.info.dsn
            if self._known is None or self._known[1] != database or time.monotonic() - self._known[0] > DAY_FOR_SECONDS:
                self._known = (time.monotonic(), database, _ends(connection, step="20 min", span="24 h"))
            return self._known[2]


_DAY: Final = _Day()


def show(visit: Visit) -> Drawn:
    """The page, or what of it is shown anew."""
    with visit.desk.reading() as connection:
        return Drawn("overview_part.html" if visit.is_part else "overview.html", now(connection, visit))


def now(connection: psycopg.Connection[Any], visit: Visit) -> dict[str, Any]:
    """All that is shown."""
    settings = visit.desk.settings
    limits = Limits(settings.pulse_interval_seconds, settings.hang_after_seconds)
    processes = [(each, manner(each, limits)) for each in told_processes(connection)]
    return {
        "tiers": asked.ask(connection, _OPEN, {}),
        "hour": _ends(connection, step="1 min", span="1 h"),
        "day": _DAY.chart(connection),
        "failures": asked.ask(connection, _FAILURES, {}),
        "letters": asked.ask(connection, _LETTERS, {})[0]["letters"],
        "lag": asked.ask(connection, _LAG, {}),
        "processes": [(each, how) for each, how in processes if how is not Manner.GONE],
    }


def _ends(connection: psycopg.Connection[Any], *, step: str, span: str) -> Chart:
    return chart(asked.ask(connection, _ENDS, {"step": step, "span": span}))
