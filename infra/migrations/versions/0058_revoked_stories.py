"""Stories that were taken back: an index by which dispatch and workers hear of them, and a view."""

from alembic import op

from infra.database.migration import run_sql

revision = "0058"
down_revision = "0057"

# Each may be done again after an interruption. The index is partial: whatever else is appended does not touch it.
STATEMENTS = (
    "drop index concurrently if exists event_store.task_events_revoked_stories",
    """
    create index concurrently task_events_revoked_stories on event_store.task_events (position)
        where name = 'story.revocation_requested'
    """,
    "comment on index event_store.task_events_revoked_stories is 'Stories that were taken back, in order.'",
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in STATEMENTS:
            op.execute(statement)
    run_sql("0058_revoked_stories")
