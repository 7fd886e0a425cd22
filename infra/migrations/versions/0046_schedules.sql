-- Both are partial: whatever else is appended to this log does not touch them.

create index licensing_schedules on event_store.licensing_events (position)
    where name in (
        'schedule.declared', 'schedule.declared_again', 'schedule.interval_changed', 'schedule.changed',
        'schedule.paused', 'schedule.resumed', 'schedule.removed'
    );
comment on index event_store.licensing_schedules is 'What was done about schedules, in order; for schedulers.';

create index licensing_slots on event_store.licensing_events ((data->>'schedule'), position)
    where name in ('schedule.fired', 'schedule.fired_by_hand', 'schedule.slot_skipped', 'schedule.slots_missed');
comment on index event_store.licensing_slots is 'What became of the slots of each schedule, in order; for schedulers.';
