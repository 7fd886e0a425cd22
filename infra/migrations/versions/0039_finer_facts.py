"""Sessions cut along days, and heartbeats per license and minute."""

from infra.database.migration import run_sql

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    run_sql("0039_finer_facts")
