"""A role for analysts: it may read schema analytics, and nothing else."""

from infra.database.migration import run_sql

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    run_sql("0026_analyst_role")
