"""Which processes of the platform are there, as they say themselves."""

from infra.database.migration import run_sql

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    run_sql("0045_processes")
