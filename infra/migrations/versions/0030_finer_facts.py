"""Sessions cut along days, and heartbeats per license and minute."""

from infra.database.migration import run_sql

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    run_sql("0030_finer_facts")
