"""A role for analysts: it may read schema analytics, and nothing else."""

from infra.database.migration import run_sql

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    run_sql("0030_analyst_role")
