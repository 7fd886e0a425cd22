"""Sessions, their silences, and how far log time has come."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, count, moment, seconds, text

SESSIONS: Final = sa.Table(
    "sessions",
    METADATA,
    text("session_id", primary_key=True),
    text("license_id"),
    text("state"),
    text("host"),
    moment("started_at"),
    seconds("patience_seconds"),
    moment("ended_at"),
    text("end_reason"),
    moment("lapse_judged_at"),
    count("lapses"),
    moment("resumed_at"),
    moment("last_heartbeat_at"),
    moment("last_heard_at"),
    sa.Column("heartbeat_count", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    moment("returned_at"),
    moment("silent_since"),
    moment("silent_heard_at"),
    moment("back_at"),
    count("late_count"),
    count("future_count"),
    count("repeated_count"),
    count("out_of_order_count"),
    seconds("least_delay_seconds"),
    seconds("last_delay_seconds"),
    text("policy"),
    seconds("heartbeat_interval_seconds"),
    text("monitoring_starts"),
    text("on_lapse"),
    text("resurrection"),
    moment("lapsed_at"),
    moment("patience_over_at"),
    text("ended_by"),
    sa.Column("seat", sa.Integer()),
    sa.Column("seats", sa.Integer()),
)
"""A row per session heard of; one without a state has sent heartbeats and is not known to have started."""

SESSION_RETURNS: Final = sa.Table(
    "session_returns",
    METADATA,
    text("session_id", primary_key=True),
    moment("recorded_at", primary_key=True),
    moment("heartbeat_at"),
    moment("last_heartbeat_at"),
    moment("heard_at"),
    moment("log_time"),
)
"""Silences that were broken, and the heartbeat that came back from them; see :mod:`projections.returns`."""

SESSION_LAPSES: Final = sa.Table(
    "session_lapses",
    METADATA,
    text("session_id", primary_key=True),
    sa.Column("version", sa.BigInteger(), primary_key=True),
    moment("lapsed_at"),
    moment("patience_over_at"),
    moment("judged_at"),
    moment("recorded_at"),
    moment("resumed_at"),
)
"""Lapses, each with the return that undid it; see :mod:`projections.session_lapses`."""

BLIND_WINDOWS: Final = sa.Table(
    "blind_windows",
    METADATA,
    moment("since_at", primary_key=True),
    moment("until_at", nullable=False),
    text("away", nullable=False),
    moment("recorded_at", nullable=False),
)
"""Stretches of log time in which nobody's silence counts; see :mod:`projections.blindness`."""

LOG_TIME: Final = sa.Table(
    "log_time",
    METADATA,
    sa.Column("is_only_row", sa.Boolean(), primary_key=True, server_default=sa.true()),
    moment("log_time", nullable=False),
)
"""One row once a watermark has passed: everything sent before ``log_time`` is in the sessions table."""
