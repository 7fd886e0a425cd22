"""A role for analysts: it may read schema analytics, and nothing else."""

from infra.database.migration import run_sql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    run_sql("0033_analyst_role")
