"""Fewer and smaller indexes for lists of runs; those of runs that ended badly answer for tier and task, too."""

from infra.database.migration import run_sql

revision = "0062"
down_revision = "0061"


def upgrade() -> None:
    run_sql("0062_task_lists")
