"""Which processes of the platform are there, as they say themselves."""

from infra.database.migration import run_sql

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    run_sql("0043_processes")
