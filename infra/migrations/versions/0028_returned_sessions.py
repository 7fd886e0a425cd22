"""Sessions know which heartbeat broke their latest silence."""

from infra.database.migration import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_sql("0028_returned_sessions")
