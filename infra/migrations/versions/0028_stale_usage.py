"""Usage is kept up by what changed: which sessions did since it was last counted."""

from infra.database.migration import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_sql("0028_stale_usage")
