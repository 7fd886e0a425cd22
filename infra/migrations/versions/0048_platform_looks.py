"""Indexes by which metrics find the slot fired last and the run that waits longest; made beside appends."""

from alembic import op

revision = "0048"
down_revision = "0047"

# Each may be done again after an interruption. Both are partial: one has a schedule's slots, the other what waits now.
STATEMENTS = (
    "drop index concurrently if exists event_store.licensing_fired",
    """
    create index concurrently licensing_fired on event_store.licensing_events (position) where name = 'schedule.fired'
    """,
    "comment on index event_store.licensing_fired is 'Slots that were fired, in order; for metrics.'",
    "drop index concurrently if exists read_model.task_runs_waiting",
    """
    create index concurrently task_runs_waiting on read_model.task_runs (queue, published_at)
        where state = 'published' and ended_at is null
    """,
    "comment on index read_model.task_runs_waiting is 'Runs that wait in each queue, longest first; for metrics.'",
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in STATEMENTS:
            op.execute(statement)
