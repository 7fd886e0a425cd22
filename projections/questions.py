"""What the report asks, in SQL over the analytics views."""

from __future__ import annotations

from typing import Final, NamedTuple

ENDS: Final = ("succeeded", "failed", "timed_out", "lost", "rejected", "revoked", "expired", "dead_lettered")
"""How a run can end, in the order in which the report says so."""


class Question(NamedTuple):
    """One table of the report.

    Attributes:
        key: its name in JSON.
        title: its heading for people.
        nothing: what is said where the answer has no rows.
        sql: the question; ``%(cut)s`` is the moment up to which accepted runs count.
    """

    key: str
    title: str
    nothing: str
    sql: str


LAG: Final = """
    select projection, log, lag_events as events_behind, lag_seconds as behind_seconds, parked_events as parked,
           extract(epoch from now() - source_last_recorded_at)::double precision as log_silent_for_seconds
    from analytics.meta_freshness
    order by projection, log
"""

SECTIONS: Final = (
    Question(
        "sessions",
        "Sessions by state",
        "none yet",
        """
        select state, count(*) as sessions, sum(heartbeat_count)::bigint as heartbeats, sum(lapse_count) as lapses
        from analytics.fct_sessions
        group by state
        order by array_position(array['active', 'lapsed', 'ended'], state)
        """,
    ),
    Question(
        "licenses",
        "Licenses by state",
        "none yet",
        """
        select state, count(*) as licenses, sum(renewal_count) as renewals, sum(notice_count) as notices
        from analytics.dim_licenses
        group by state
        order by array_position(array['active', 'suspended', 'expired', 'revoked'], state)
        """,
    ),
    Question(
        "notices",
        "E-mails by letter and outcome",
        "none yet",
        """
        select template as letter, state as outcome, reason, count(*) as notices
        from analytics.fct_notices
        group by template, state, reason
        order by template, array_position(array['sent', 'refused', 'failed'], state), reason
        """,
    ),
    Question(
        "tasks",
        "Tasks by tier and outcome",
        "none accepted yet",
        """
        select coalesce(tier, 'other') as tier,
               state as outcome,
               count(*) as runs,
               sum(attempt_count) as attempts,
               percentile_cont(0.50) within group (order by wait_seconds) as wait_p50_seconds,
               percentile_cont(0.95) within group (order by wait_seconds) as wait_p95_seconds,
               percentile_cont(0.50) within group (order by run_seconds) as run_p50_seconds,
               percentile_cont(0.95) within group (order by run_seconds) as run_p95_seconds
        from analytics.fct_task_runs
        where recorded_at <= %(cut)s
        group by tier, state
        order by array_position(array['critical', 'high', 'normal', 'low'], tier), bool_and(is_ended) desc,
                 runs desc, state
        """,
    ),
    Question(
        "open_tasks",
        "Tasks that have not ended",
        "none",
        """
        select coalesce(tier, 'other') as tier, task, state, count(*) as runs,
               extract(epoch from now() - min(recorded_at))::double precision as oldest_seconds,
               min(run_id) as for_example
        from analytics.fct_task_runs
        where not is_ended and recorded_at <= %(cut)s
        group by tier, task, state
        order by oldest_seconds desc
        """,
    ),
    Question(
        "dead_letters",
        "Dead letters",
        "none",
        """
        select task, reason, end_state as "end", error_type as error, count(*) as letters
        from analytics.fct_dead_letters
        group by task, reason, end_state, error_type
        order by letters desc, task, reason, error_type
        """,
    ),
    Question(
        "ingest_dead_letters",
        "Messages not taken in",
        "none",
        """
        select reason, message_type as type, count(*) as messages, min(detail) as for_example
        from analytics.fct_ingest_dead_letters
        group by reason, message_type
        order by messages desc, reason, message_type
        """,
    ),
    Question(
        "events",
        "Events in the log",
        "none yet",
        """
        select log, event_name as event, sum(event_count)::bigint as events
        from analytics.fct_events_by_name
        group by log, event_name
        order by array_position(array['licensing', 'tasks', 'heartbeats'], log), event_name
        """,
    ),
    Question("lag", "How far the read models are behind the logs", "no projections", LAG),
)

CONSERVATION: Final = f"""
    select count(*) filter (where is_in_log) as accepted,
           {"".join(f"count(*) filter (where state = '{end}') as {end}," for end in ENDS)}
           count(*) filter (where not is_ended) as open,
           count(*) filter (where is_in_log <> is_in_read_model) as disagreeing
    from analytics.fct_accepted_runs
    where recorded_at <= %(cut)s
"""  # noqa: S608  the names are the constants above

OPEN_RUNS: Final = """
    select count(*) as open from analytics.fct_task_runs where not is_ended and recorded_at <= %(cut)s
"""

CAUGHT_UP: Final = "select projection, log, position, safe_position from analytics.meta_freshness"

NOW: Final = "select clock_timestamp() as now"
