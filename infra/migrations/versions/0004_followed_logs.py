"""Which projection follows which log, as rows."""

from infra.database.migration import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql("0004_followed_logs")
