"""Usage is kept up by what changed: which sessions did since it was last counted."""

from infra.database.migration import run_sql

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    run_sql("0035_stale_usage")
