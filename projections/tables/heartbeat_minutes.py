"""Heartbeats by the minute."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, moment, seconds, text


def _minutes(name: str, of: str) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        text(of, primary_key=True),
        moment("minute_start_at", primary_key=True),
        sa.Column("heartbeats", sa.BigInteger(), nullable=False),
        seconds("max_delay_seconds", nullable=False),
    )


HEARTBEAT_MINUTES: Final = _minutes("heartbeat_minutes", "license_id")
HEARTBEAT_MINUTES_UNCLAIMED: Final = _minutes("heartbeat_minutes_unclaimed", "session_id")
