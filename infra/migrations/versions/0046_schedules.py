"""Indexes by which the scheduler finds what was done about schedules, and what became of their slots."""

from infra.database.migration import run_sql

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    run_sql("0046_schedules")
