"""Members of groups, for clients that ask by the group's id."""

from infra.database.migration import run_sql

revision = "0059"
down_revision = "0058"


def upgrade() -> None:
    run_sql("0059_groups")
