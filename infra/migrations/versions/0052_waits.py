"""Runs that wait: found by an index, a state of their own in the read models, and a part of a run's time."""

from alembic import op

from infra.database.migration import run_sql

revision = "0052"
down_revision = "0051"

# Each may be done again after an interruption. The index is made beside appends; it is partial: whatever else is
# appended does not touch it.
INDEX = (
    "drop index concurrently if exists event_store.task_events_waits",
    """
    create index concurrently task_events_waits on event_store.task_events (position) where name = 'task.wait_began'
    """,
)
# Every row is looked at, beside who reads and writes.
VALID = (
    "alter table read_model.task_runs validate constraint task_runs_state_check",
    "alter table read_model.task_attempts validate constraint task_attempts_outcome_check",
    "alter table read_model.task_attempts validate constraint task_attempts_wait_end_check",
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in INDEX:
            op.execute(statement)
    run_sql("0052_waits")
    with op.get_context().autocommit_block():
        for statement in VALID:
            op.execute(statement)
