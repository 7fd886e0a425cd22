"""Sessions cut along days, and heartbeats per license and minute."""

from infra.database.migration import run_sql

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    run_sql("0035_finer_facts")
