"""Indexes for lists of runs: the page asks for them as people do, the latest first."""

from infra.database.migration import run_sql

revision = "0057"
down_revision = "0055"


def upgrade() -> None:
    run_sql("0057_task_lists")
