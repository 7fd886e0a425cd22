"""Runs that waited while a less urgent one of their queue began."""

from infra.database.migration import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_sql("0013_priority_inversions")
