"""Usage is kept up by what changed: which sessions did since it was last counted."""

from infra.database.migration import run_sql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    run_sql("0029_stale_usage")
