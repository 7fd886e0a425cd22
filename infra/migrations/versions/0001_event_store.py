"""The event store: three append-only logs and the checkpoints of their followers."""

from infra.database.migration import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql("0001_event_store")
