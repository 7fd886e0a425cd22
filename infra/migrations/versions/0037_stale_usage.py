"""Usage is kept up by what changed: which sessions did since it was last counted."""

from infra.database.migration import run_sql

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    run_sql("0037_stale_usage")
