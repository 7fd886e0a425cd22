"""Sessions cut along days, and heartbeats per license and minute."""

from infra.database.migration import run_sql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    run_sql("0033_finer_facts")
