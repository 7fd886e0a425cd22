"""Which views of schema analytics join on what, for tools."""

from infra.database.migration import run_sql

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    run_sql("0031_joins")
