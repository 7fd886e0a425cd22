"""Appends that are plain inserts, and look for repeats and taken places only where they meet one."""

from infra.database.migration import run_sql

revision = "0016"
down_revision = "0015"

LOGS = ("licensing_events", "task_events", "heartbeat_events")


def upgrade() -> None:
    for table in LOGS:
        run_sql("0016_hopeful_append", table=table)
