"""The log of heartbeats in months, and what is written down of a month that is dropped."""

from infra.database.migration import run_sql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    run_sql("0029_heartbeat_months")
    run_sql("0029_drops")
