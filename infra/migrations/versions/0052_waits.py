"""Runs that wait: found by an index, a state of their own in the read models, and a part of a run's time."""

from infra.database.migration import run_sql

revision = "0052"
down_revision = "0051"


def upgrade() -> None:
    run_sql("0052_waits")
