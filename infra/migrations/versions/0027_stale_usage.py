"""Usage is kept up by what changed: which sessions did since it was last counted."""

from infra.database.migration import run_sql

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    run_sql("0027_stale_usage")
