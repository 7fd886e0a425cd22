"""Which views of schema analytics join on what, for tools."""

from infra.database.migration import run_sql

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    run_sql("0040_joins")
