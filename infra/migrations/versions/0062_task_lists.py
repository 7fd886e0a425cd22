"""Fewer and smaller indexes for lists of runs, those of runs that ended badly answer for tier and task, too."""

from alembic import op

revision = "0062"
down_revision = "0061"

# Every index of this table is written at each of a run's three or four writes, so what is not needed to find a page is
# left out. Runs of one moment are put in order when they are read: the ids took half of the room. There is one index of
# open runs, where there were two: nobody asks for them in the order of their recording. There is one of those that
# ended badly, where there were two: state, tier and task are compared within it; without them every run that failed was
# read to find that none was of the tier that was asked for.
GONE = ("task_runs_open_by_acceptance", "task_runs_bad_by_state")
INDEXES = {
    "task_runs_by_acceptance": "(accepted_at)",
    "task_runs_by_task": "(task, accepted_at)",
    "task_runs_by_license": "(license_id, accepted_at) where license_id is not null",
    "task_runs_open": "(accepted_at, tier) where ended_at is null",
    "task_runs_bad": "(accepted_at, state, tier, task) where ended_at is not null and state <> 'succeeded'",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():  # beside the projector's writes; each may be done again
        for name, over in INDEXES.items():
            op.execute(f"drop index concurrently if exists read_model.{name}")
            op.execute(f"create index concurrently {name} on read_model.task_runs {over}")
        for name in GONE:
            op.execute(f"drop index concurrently if exists read_model.{name}")
