"""Workflows: stories of several runs, their steps, and what has become of them."""

from infra.database.migration import run_sql

revision = "0060"
down_revision = "0059"


def upgrade() -> None:
    run_sql("0060_workflows")
