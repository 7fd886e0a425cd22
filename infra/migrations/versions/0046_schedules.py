"""Indexes by which the scheduler finds what was done about schedules, and what became of their slots.

They are made beside appends, which go on meanwhile. Both are partial: whatever else is appended does not touch them.
"""

from alembic import op

revision = "0046"
down_revision = "0045"

# Each may be done again after an interruption.
STATEMENTS = (
    "drop index concurrently if exists event_store.licensing_schedules",
    """
    create index concurrently licensing_schedules on event_store.licensing_events (position)
        where name in (
            'schedule.declared', 'schedule.declared_again', 'schedule.interval_changed', 'schedule.changed',
            'schedule.paused', 'schedule.resumed', 'schedule.removed'
        )
    """,
    "comment on index event_store.licensing_schedules is 'What was done about schedules, in order; for schedulers.'",
    "drop index concurrently if exists event_store.licensing_slots",
    """
    create index concurrently licensing_slots on event_store.licensing_events ((data->>'schedule'), position)
        where name in ('schedule.fired', 'schedule.fired_by_hand', 'schedule.slot_skipped', 'schedule.slots_missed')
    """,
    """
    comment on index event_store.licensing_slots
        is 'What became of the slots of each schedule, in order; for schedulers.'
    """,
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in STATEMENTS:
            op.execute(statement)
