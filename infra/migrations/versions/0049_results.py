"""What `AsyncResult` reads: outcomes of runs, and values too long for the log."""

from infra.database.migration import run_sql

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    run_sql("0049_results")
