"""Drafts: read models that are rebuilt beside the live ones."""

from infra.database.migration import run_sql

revision = "0019"
down_revision = "0016"


def upgrade() -> None:
    run_sql("0019_drafts")
