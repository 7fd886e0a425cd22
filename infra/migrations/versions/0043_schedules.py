"""Indexes by which the scheduler finds what was done about schedules, and what became of their slots."""

from infra.database.migration import run_sql

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    run_sql("0043_schedules")
