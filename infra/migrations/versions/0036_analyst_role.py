"""A role for analysts: it may read schema analytics, and nothing else."""

from infra.database.migration import run_sql

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    run_sql("0036_analyst_role")
