"""The logs can be asked for a time without a look at what was recorded around it."""

from alembic import op

revision = "0032"
down_revision = "0031"

LOGS = ("licensing_events", "task_events", "heartbeat_events")


def upgrade() -> None:
    for table in LOGS:
        op.execute(f"create index {table}_recorded_at on event_store.{table} (recorded_at, position)")
