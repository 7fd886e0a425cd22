"""Tables of schedules and of what became of their slots."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from projections.tables.columns import METADATA, moment, seconds, text

SCHEDULES: Final = sa.Table(
    "schedules",
    METADATA,
    text("schedule", primary_key=True),
    text("state"),
    text("task"),
    text("tier"),
    text("kind"),
    text("cron"),
    text("zone"),
    seconds("every_seconds"),
    moment("once_at"),
    text("catch_up"),
    seconds("catch_up_seconds"),
    text("overlap"),
    moment("declared_at"),
    moment("changed_at"),
    text("changed_by"),
    text("reason"),
)

SCHEDULE_FIRINGS: Final = sa.Table(
    "schedule_firings",
    METADATA,
    text("firing_id", primary_key=True),
    text("schedule"),
    text("outcome"),
    moment("slot_at"),
    moment("last_slot_at"),
    sa.Column("slots", sa.BigInteger()),
    moment("fired_at"),
    seconds("lateness_seconds"),
    text("task"),
    text("run_id"),
    text("open_run_id"),
    text("actor"),
    text("reason"),
    moment("recorded_at"),
)
