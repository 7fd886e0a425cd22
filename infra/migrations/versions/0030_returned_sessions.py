"""Sessions know which heartbeat broke their latest silence."""

from infra.database.migration import run_sql

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    run_sql("0030_returned_sessions")
