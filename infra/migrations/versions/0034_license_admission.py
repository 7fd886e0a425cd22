"""Which event of a run's license decided about each attempt, and indexes to find what licenses decide about."""

from infra.database.migration import run_sql

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    run_sql("0034_license_admission")
