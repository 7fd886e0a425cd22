"""A role for analysts: it may read schema analytics, and nothing else."""

from infra.database.migration import run_sql

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    run_sql("0034_analyst_role")
