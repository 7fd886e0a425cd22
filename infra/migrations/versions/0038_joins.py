"""Which views of schema analytics join on what, for tools."""

from infra.database.migration import run_sql

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    run_sql("0038_joins")
