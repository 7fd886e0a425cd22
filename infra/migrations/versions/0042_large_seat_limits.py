"""Limits of seats that no integer holds."""

from infra.database.migration import run_sql

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    run_sql("0042_large_seat_limits")
