"""Events that were passed over."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, moment, text

PARKED_EVENTS: Final = sa.Table(
    "parked_events",
    METADATA,
    text("projection", primary_key=True),
    text("log", primary_key=True),
    sa.Column("position", sa.BigInteger(), primary_key=True),
    text("stream_id", nullable=False),
    text("name", nullable=False),
    text("reason", nullable=False),
    moment("parked_at", nullable=False, server_default=sa.func.now()),
)
"""Events that a projection could not handle; written by the runner, emptied by a rebuild."""
