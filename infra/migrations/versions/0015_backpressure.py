"""Backpressure: the backlog of a tier, and when its queue was full."""

from infra.database.migration import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_sql("0015_backpressure")
