"""Backpressure: the backlog of a tier, and when its queue was full."""

from infra.database.migration import run_sql

revision = "0012"
down_revision = "0008"


def upgrade() -> None:
    run_sql("0012_backpressure")
