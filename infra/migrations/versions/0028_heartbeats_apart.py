"""What the log of heartbeats needs before it can become a partition: done beside appends, which go on meanwhile."""

from alembic import op

revision = "0028"
down_revision = "0027"

# Each may be done again after an interruption. The bounds hold every stream that was named so far (`heartbeats-…`,
# `watermark-…`); as a constraint that is known to hold they save the look at every row when the table is attached.
# Months are told apart byte by byte, whatever order of letters the database has; so the primary key has that order too.
STATEMENTS = (
    "alter table event_store.heartbeat_events drop constraint if exists heartbeat_events_bounds",
    """
    alter table event_store.heartbeat_events add constraint heartbeat_events_bounds
        check (stream_id collate "C" >= 'heartbeats-' and stream_id collate "C" < 'watermark.') not valid
    """,
    "alter table event_store.heartbeat_events validate constraint heartbeat_events_bounds",
    "drop index concurrently if exists event_store.heartbeat_events_before_pkey",
    """
    create unique index concurrently heartbeat_events_before_pkey
        on event_store.heartbeat_events (stream_id collate "C", version)
    """,
    "drop index concurrently if exists event_store.heartbeat_events_before_position",
    "create index concurrently heartbeat_events_before_position on event_store.heartbeat_events (position)",
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in STATEMENTS:
            op.execute(statement)
