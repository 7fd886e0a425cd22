"""A role for analysts: it may read schema analytics, and nothing else."""

from infra.database.migration import run_sql

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    run_sql("0027_analyst_role")
