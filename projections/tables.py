"""The tables of schema ``read_model``, as the code knows them.

The migrations own them (checks, indexes, storage); a test compares the two. Only ``parked_events`` and the usage tables
are no projection's: everything else can be emptied and built again from the log.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP

SCHEMA: Final = "read_model"
METADATA: Final = sa.MetaData(schema=SCHEMA)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), **options)


def _moment(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, TIMESTAMP(timezone=True), **options)


def _seconds(name: str, **options: Any) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), **options)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0"))


SESSIONS: Final = sa.Table(
    "sessions",
    METADATA,
    _text("session_id", primary_key=True),
    _text("license_id"),
    _text("state"),
    _text("host"),
    _moment("started_at"),
    _seconds("patience_seconds"),
    _moment("ended_at"),
    _text("end_reason"),
    _moment("lapse_judged_at"),
    _count("lapses"),
    _moment("resumed_at"),
    _moment("last_heartbeat_at"),
    _moment("last_heard_at"),
    sa.Column("heartbeat_count", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    _moment("returned_at"),
    _moment("silent_since"),
    _moment("silent_heard_at"),
    _moment("back_at"),
    _count("late_count"),
    _count("future_count"),
    _count("repeated_count"),
    _count("out_of_order_count"),
    _seconds("least_delay_seconds"),
    _seconds("last_delay_seconds"),
    _text("policy"),
    _seconds("heartbeat_interval_seconds"),
    _text("monitoring_starts"),
    _text("on_lapse"),
    _text("resurrection"),
    _moment("lapsed_at"),
    _moment("patience_over_at"),
    _text("ended_by"),
)
"""A row per session heard of; one without a state has sent heartbeats and is not known to have started."""

SESSION_RETURNS: Final = sa.Table(
    "session_returns",
    METADATA,
    _text("session_id", primary_key=True),
    _moment("recorded_at", primary_key=True),
    _moment("heartbeat_at"),
    _moment("last_heartbeat_at"),
    _moment("heard_at"),
    _moment("log_time"),
)
"""Silences that were broken, and the heartbeat that came back from them; see :mod:`projections.returns`."""

BLIND_WINDOWS: Final = sa.Table(
    "blind_windows",
    METADATA,
    _moment("since_at", primary_key=True),
    _moment("until_at", nullable=False),
    _text("away", nullable=False),
    _moment("recorded_at", nullable=False),
)
"""Stretches of log time in which nobody's silence counts; see :mod:`projections.blindness`."""

LOG_TIME: Final = sa.Table(
    "log_time",
    METADATA,
    sa.Column("is_only_row", sa.Boolean(), primary_key=True, server_default=sa.true()),
    _moment("log_time", nullable=False),
)
"""One row once a watermark has passed: everything sent before ``log_time`` is in the sessions table."""

LICENSES: Final = sa.Table(
    "licenses",
    METADATA,
    _text("license_id", primary_key=True),
    _text("state"),
    _text("state_reason"),
    _moment("state_changed_at"),
    _text("suspended_because"),
    _text("holder_email"),
    sa.Column("seats", sa.Integer()),
    _seconds("patience_seconds"),
    _moment("issued_at"),
    _moment("term_began_at"),
    _moment("valid_until"),
    _count("renewals"),
    sa.Column("last_notice_days", sa.Integer()),
    _moment("next_due_at"),
    _count("notices_sent"),
    _moment("last_notice_sent_at"),
    _text("holder"),
    _text("policy"),
    _seconds("heartbeat_interval_seconds"),
    _text("monitoring_starts"),
    _text("on_lapse"),
    _text("resurrection"),
    _text("expiry"),
    _text("overage"),
    _text("entitlements"),
)
"""``entitlements``: their names with commas between them, which no name has; empty where there are none."""

LICENSE_ENTITLEMENTS: Final = sa.Table(
    "license_entitlements",
    METADATA,
    _text("license_id", primary_key=True),
    _text("entitlement", primary_key=True),
    sa.Column("is_attached", sa.Boolean()),
    _moment("attached_at"),
    _text("attached_by"),
    _text("attach_reason"),
    _moment("detached_at"),
    _text("detached_by"),
    _text("detach_reason"),
)

LICENSE_CHANGES: Final = sa.Table(
    "license_changes",
    METADATA,
    _text("license_id", primary_key=True),
    sa.Column("version", sa.BigInteger(), primary_key=True),
    _text("field", primary_key=True),
    _text("change", nullable=False),
    _moment("changed_at", nullable=False),
    _moment("recorded_at", nullable=False),
    _text("before"),
    _text("after"),
    _text("actor"),
    _text("reason"),
    _text("event_id", nullable=False),
)

NOTICES: Final = sa.Table(
    "notices",
    METADATA,
    _text("notice_id", primary_key=True),
    _text("template"),
    _text("cause"),
    _text("license_id"),
    _text("state"),
    sa.Column("outcome_slot", sa.BigInteger()),
    _moment("last_outcome_at"),
    _moment("sent_at"),
    _text("recipient"),
    _text("message_id"),
    sa.Column("reply_code", sa.Integer()),
    _text("reply"),
    _text("reason"),
    _text("detail"),
    _text("run_id"),
    sa.Column("attempt", sa.Integer()),
    _count("refusals"),
    _count("failures"),
)
"""``outcome_slot`` says which outcome counts, so that a notice is the same in whatever order its events came."""

TASK_RUNS: Final = sa.Table(
    "task_runs",
    METADATA,
    _text("run_id", primary_key=True),
    _text("task"),
    _text("tier"),
    _text("queue"),
    sa.Column("priority", sa.Integer()),
    _text("state"),
    _moment("accepted_at"),
    _text("accepted_by"),
    _moment("published_at"),
    _moment("first_started_at"),
    _moment("started_at"),
    _moment("ended_at"),
    _count("attempts"),
    _seconds("runtime_seconds"),
    _seconds("wait_seconds", server_default=sa.FetchedValue()),
    _seconds("run_seconds", server_default=sa.FetchedValue()),
    _text("error_type"),
    _text("error"),
    _text("result"),
    _text("license_id"),
    _text("correlation_id"),
    _text("trace_id"),
    _text("worker"),
    _moment("revocation_requested_at"),
    _text("revocation_requested_by"),
    _text("revocation_reason"),
    _moment("recorded_at"),
    sa.Column("accepted_slot", sa.BigInteger()),
    sa.Column("state_slot", sa.BigInteger()),
    sa.Column("worker_slot", sa.BigInteger()),
)
"""The three ``_slot`` columns say which event decided, so that a run is the same in whatever order its events came."""

TASK_ATTEMPTS: Final = sa.Table(
    "task_attempts",
    METADATA,
    _text("run_id", primary_key=True),
    sa.Column("attempt", sa.Integer(), primary_key=True),
    _text("task"),
    _text("queue"),
    _text("outcome"),
    _moment("received_at"),
    _moment("started_at"),
    _moment("ended_at"),
    _text("spent_by"),
    _text("error_type"),
    _text("error"),
    _seconds("delay_seconds"),
    _seconds("runtime_seconds"),
    _text("ignored_outcome"),
    _text("worker"),
    sa.Column("pid", sa.BigInteger()),
    _text("code_version"),
    sa.Column("outcome_rank", sa.SmallInteger()),
    sa.Column("is_spared", sa.Boolean()),
    _text("trace_id"),
)

DEAD_LETTERS: Final = sa.Table(
    "dead_letters",
    METADATA,
    _text("run_id", primary_key=True),
    _text("task"),
    _text("reason"),
    _text("queue"),
    sa.Column("priority", sa.Integer()),
    _moment("dead_lettered_at"),
    _text("end_state"),
    _text("error_type"),
    _text("error"),
    sa.Column("letter_slot", sa.BigInteger()),
    _moment("ended_at"),
    _text("decision"),
    _moment("decided_at"),
    _text("decided_by"),
    _text("decision_reason"),
    sa.Column("decision_number", sa.Integer()),
    _text("replay_id"),
    _text("new_run_id"),
)
"""A row per run that failed; one without ``dead_lettered_at`` is no dead letter (yet)."""

REPLAYS: Final = sa.Table(
    "replays",
    METADATA,
    _text("replay_id", primary_key=True),
    _moment("requested_at"),
    _text("requested_by"),
    _text("reason"),
    _text("chosen_by"),
    sa.Column("letters", sa.Integer()),
    sa.Column("is_again", sa.Boolean()),
    sa.Column("per_second", sa.Double()),
    sa.Column("priority", sa.Integer()),
    _text("edit"),
    _moment("finished_at"),
    sa.Column("replayed", sa.Integer()),
    sa.Column("left_out", sa.Integer()),
)
"""A row per batch of replays; one without ``requested_at`` has only been heard to finish."""

REPLAYED_RUNS: Final = sa.Table(
    "replayed_runs",
    METADATA,
    _text("replay_id", primary_key=True),
    _text("run_id", primary_key=True),
    _text("new_run_id"),
    _text("task"),
    _moment("replayed_at"),
    _text("replayed_by"),
    sa.Column("generation", sa.Integer()),
    sa.Column("priority", sa.Integer()),
    _text("patch"),
)
"""A row per dead letter and batch that replayed it."""

INGEST_DEAD_LETTERS: Final = sa.Table(
    "ingest_dead_letters",
    METADATA,
    _text("message_id", primary_key=True),
    _text("reason"),
    _text("detail"),
    _text("message_type"),
    _text("source"),
    _text("source_event_id"),
    _text("fragment"),
    _moment("dead_lettered_at"),
)

FOLDED_REQUESTS: Final = sa.Table(
    "folded_requests",
    METADATA,
    _text("message_id", primary_key=True),
    _text("task"),
    _text("unique_key"),
    _text("run_id"),
    _text("asked_run_id"),
    _text("asked_by"),
    _moment("folded_at"),
)

PARKED_EVENTS: Final = sa.Table(
    "parked_events",
    METADATA,
    _text("projection", primary_key=True),
    _text("log", primary_key=True),
    sa.Column("position", sa.BigInteger(), primary_key=True),
    _text("stream_id", nullable=False),
    _text("name", nullable=False),
    _text("reason", nullable=False),
    _moment("parked_at", nullable=False, server_default=sa.func.now()),
)
"""Events that a projection could not handle; written by the runner, emptied by a rebuild."""


def _usage(name: str, bucket: str) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        _text("license_id", primary_key=True),
        _moment(bucket, primary_key=True),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("session_seconds", sa.Numeric(20, 6), nullable=False),
        sa.Column("peak_concurrent_sessions", sa.Integer(), nullable=False),
        _count("sessions_started"),
    )


USAGE_HOURLY: Final = _usage("usage_hourly", "hour_start_at")
USAGE_DAILY: Final = _usage("usage_daily", "day_start_at")

USAGE_CHANGES: Final = sa.Table(
    "usage_changes",
    METADATA,
    sa.Column("change_number", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
    _text("session_id", nullable=False),
    _text("license_id"),
    _moment("started_at"),
    _moment("ended_at"),
)
"""What sessions were before they changed, since usage was last counted; written by triggers on the sessions."""

USAGE_PROGRESS: Final = sa.Table(
    "usage_progress",
    METADATA,
    sa.Column("is_only_row", sa.Boolean(), primary_key=True, server_default=sa.true()),
    _moment("log_time"),
    _moment("counted_at", nullable=False, server_default=sa.func.clock_timestamp()),
)
"""One row once usage has been counted: up to which log time active sessions count in it."""


def _minutes(name: str, of: str) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        _text(of, primary_key=True),
        _moment("minute_start_at", primary_key=True),
        sa.Column("heartbeats", sa.BigInteger(), nullable=False),
        _seconds("max_delay_seconds", nullable=False),
    )


HEARTBEAT_MINUTES: Final = _minutes("heartbeat_minutes", "license_id")
HEARTBEAT_MINUTES_UNCLAIMED: Final = _minutes("heartbeat_minutes_unclaimed", "session_id")
