"""Sessions cut along days, and heartbeats per license and minute."""

from infra.database.migration import run_sql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    run_sql("0029_finer_facts")
