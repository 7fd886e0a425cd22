"""Attempts that do not count against the budget."""

from infra.database.migration import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_sql("0008_spared_attempts")
