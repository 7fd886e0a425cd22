"""How long each run was where, between its acceptance and its end."""

from infra.database.migration import run_sql

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    run_sql("0043_task_waits")
