"""What people ask of all workers: revocations, pauses, limits."""

from infra.database.migration import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql("0005_directives")
