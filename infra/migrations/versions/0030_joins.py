"""Which views of schema analytics join on what, for tools."""

from infra.database.migration import run_sql

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    run_sql("0030_joins")
