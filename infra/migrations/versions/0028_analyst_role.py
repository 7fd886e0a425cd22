"""A role for analysts: it may read schema analytics, and nothing else."""

from infra.database.migration import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_sql("0028_analyst_role")
