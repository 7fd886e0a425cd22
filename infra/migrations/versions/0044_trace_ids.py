"""Every run, attempt, dead letter and event says in which trace it is."""

from infra.database.migration import run_sql

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    run_sql("0044_trace_ids")
