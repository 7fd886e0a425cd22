"""Sessions cut along days, and heartbeats per license and minute."""

from infra.database.migration import run_sql

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    run_sql("0031_finer_facts")
