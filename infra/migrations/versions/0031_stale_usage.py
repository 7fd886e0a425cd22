"""Usage is kept up by what changed: which sessions did since it was last counted."""

from infra.database.migration import run_sql

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    run_sql("0031_stale_usage")
