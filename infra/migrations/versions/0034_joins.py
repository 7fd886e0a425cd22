"""Which views of schema analytics join on what, for tools."""

from infra.database.migration import run_sql

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    run_sql("0034_joins")
