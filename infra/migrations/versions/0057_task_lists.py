"""Indexes for lists of runs, which people ask for with the latest first. Made beside the projector's writes."""

from alembic import op

revision = "0057"
down_revision = "0055"

# None of these columns changes once a run is accepted, but for the end; so what is paid is an entry in each at every
# change that PostgreSQL cannot keep on the page. Correlation ids have none: the log has an index of them, which answers
# as well, and their random order would cost the most. By their ends runs are found in a few bytes per 128 pages: rows
# lie about in that order.
BAD = "ended_at is not null and state <> 'succeeded'"
INDEXES = {
    "task_runs_by_acceptance": "(accepted_at, run_id)",
    "task_runs_by_task": "(task, accepted_at, run_id)",
    "task_runs_open_by_acceptance": "(accepted_at, run_id) where ended_at is null",
    "task_runs_bad": f"(accepted_at, run_id) where {BAD}",
    "task_runs_by_license": "(license_id, accepted_at, run_id) where license_id is not null",
    "task_runs_by_end": "using brin (ended_at) with (autosummarize = on)",
    "task_runs_bad_by_state": f"(state, accepted_at, run_id) where {BAD}",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, over in INDEXES.items():  # each may be done again after an interruption
            op.execute(f"drop index concurrently if exists read_model.{name}")
            op.execute(f"create index concurrently {name} on read_model.task_runs {over}")
