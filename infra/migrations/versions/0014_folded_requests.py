"""Requests that were folded into the run that had their key."""

from infra.database.migration import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_sql("0014_folded_requests")
