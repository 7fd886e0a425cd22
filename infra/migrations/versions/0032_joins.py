"""Which views of schema analytics join on what, for tools."""

from infra.database.migration import run_sql

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    run_sql("0032_joins")
