-- What people ask of all workers. Every worker looks for it twice a second, so these rare events have an index each.

create index task_events_revocations on event_store.task_events (position) where name = 'task.revocation_requested';
create index licensing_events_flows on event_store.licensing_events (position)
    where name in ('flow.paused', 'flow.resumed', 'flow.limited', 'flow.limits_withdrawn');
