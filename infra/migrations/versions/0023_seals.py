"""Seals: hashes over stretches of the logs, by which a changed row is found."""

from infra.database.migration import run_sql

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run_sql("0023_seals")
