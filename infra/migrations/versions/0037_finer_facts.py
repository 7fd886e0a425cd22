"""Sessions cut along days, and heartbeats per license and minute."""

from infra.database.migration import run_sql

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    run_sql("0037_finer_facts")
