"""Which event of a run's license decided about each attempt, and indexes to find what licenses decide about."""

from infra.database.migration import run_sql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    run_sql("0033_license_admission")
