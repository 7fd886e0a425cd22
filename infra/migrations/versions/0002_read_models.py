"""Read models: the tables that projections write."""

from infra.database.migration import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql("0002_read_models")
