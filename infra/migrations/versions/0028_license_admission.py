"""Which event of a run's license decided about each attempt, and indexes to find what licenses decide about."""

from infra.database.migration import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_sql("0028_license_admission")
