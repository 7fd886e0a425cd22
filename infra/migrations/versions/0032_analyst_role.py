"""A role for analysts: it may read schema analytics, and nothing else."""

from infra.database.migration import run_sql

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    run_sql("0032_analyst_role")
