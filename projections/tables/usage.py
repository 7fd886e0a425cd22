"""What is counted from other read models: no projection writes these."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, count, moment, text


def _usage(name: str, bucket: str) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        text("license_id", primary_key=True),
        moment(bucket, primary_key=True),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("session_seconds", sa.Numeric(20, 6), nullable=False),
        sa.Column("peak_concurrent_sessions", sa.Integer(), nullable=False),
        count("sessions_started"),
        count("peak_seats_taken"),
    )


USAGE_HOURLY: Final = _usage("usage_hourly", "hour_start_at")
USAGE_DAILY: Final = _usage("usage_daily", "day_start_at")

USAGE_CHANGES: Final = sa.Table(
    "usage_changes",
    METADATA,
    sa.Column("change_number", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
    text("session_id", nullable=False),
    text("license_id"),
    moment("started_at"),
    moment("ended_at"),
    sa.Column("is_lapse", sa.Boolean(), nullable=False, server_default=sa.false()),
)
"""What sessions were before they changed, and lapses that changed, since usage was last counted. Triggers write it."""

USAGE_PROGRESS: Final = sa.Table(
    "usage_progress",
    METADATA,
    sa.Column("is_only_row", sa.Boolean(), primary_key=True, server_default=sa.true()),
    moment("log_time"),
    moment("counted_at", nullable=False, server_default=sa.func.clock_timestamp()),
)
"""One row once usage has been counted: up to which log time active sessions count in it."""
