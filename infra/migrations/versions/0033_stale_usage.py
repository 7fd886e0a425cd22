"""Usage is kept up by what changed: which sessions did since it was last counted."""

from infra.database.migration import run_sql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    run_sql("0033_stale_usage")
