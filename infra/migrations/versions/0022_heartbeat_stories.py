"""The log of heartbeats can be asked for a story, as the others can."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute(
        "create index heartbeat_events_correlation on event_store.heartbeat_events"
        " ((metadata ->> 'correlation_id'), position)"
    )
