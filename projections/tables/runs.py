"""Runs of tasks, their attempts, and requests that were folded into another run."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, count, moment, seconds, text

TASK_RUNS: Final = sa.Table(
    "task_runs",
    METADATA,
    text("run_id", primary_key=True),
    text("task"),
    text("tier"),
    text("queue"),
    sa.Column("priority", sa.Integer()),
    text("state"),
    moment("accepted_at"),
    text("accepted_by"),
    moment("published_at"),
    moment("first_started_at"),
    moment("started_at"),
    moment("ended_at"),
    count("attempts"),
    seconds("runtime_seconds"),
    seconds("wait_seconds", server_default=sa.FetchedValue()),
    seconds("run_seconds", server_default=sa.FetchedValue()),
    text("error_type"),
    text("error"),
    text("result"),
    text("license_id"),
    text("correlation_id"),
    text("trace_id"),
    text("worker"),
    moment("revocation_requested_at"),
    text("revocation_requested_by"),
    text("revocation_reason"),
    moment("recorded_at"),
    sa.Column("accepted_slot", sa.BigInteger()),
    sa.Column("state_slot", sa.BigInteger()),
    sa.Column("worker_slot", sa.BigInteger()),
)
"""The three ``_slot`` columns say which event decided, so that a run is the same in whatever order its events came."""

TASK_ATTEMPTS: Final = sa.Table(
    "task_attempts",
    METADATA,
    text("run_id", primary_key=True),
    sa.Column("attempt", sa.Integer(), primary_key=True),
    text("task"),
    text("queue"),
    text("outcome"),
    moment("received_at"),
    moment("started_at"),
    moment("ended_at"),
    text("spent_by"),
    text("error_type"),
    text("error"),
    seconds("delay_seconds"),
    seconds("runtime_seconds"),
    text("ignored_outcome"),
    text("worker"),
    sa.Column("pid", sa.BigInteger()),
    text("code_version"),
    sa.Column("outcome_rank", sa.SmallInteger()),
    sa.Column("is_spared", sa.Boolean()),
    text("trace_id"),
    text("admitted_by"),
    text("deferred_by"),
    text("turned_away_by"),
    moment("delivered_at"),
    moment("eta_held_at"),
    moment("paused_at"),
    moment("limited_at"),
    moment("deferred_at"),
    moment("wait_began_at"),
    text("wait_event"),
    text("wait_match"),
    moment("wait_until"),
    moment("wait_ended_at"),
    text("wait_end"),
    text("wait_event_id"),
)

FOLDED_REQUESTS: Final = sa.Table(
    "folded_requests",
    METADATA,
    text("message_id", primary_key=True),
    text("task"),
    text("unique_key"),
    text("run_id"),
    text("asked_run_id"),
    text("asked_by"),
    moment("folded_at"),
)
