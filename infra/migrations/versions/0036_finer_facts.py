"""Sessions cut along days, and heartbeats per license and minute."""

from infra.database.migration import run_sql

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    run_sql("0036_finer_facts")
