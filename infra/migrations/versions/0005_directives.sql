-- What people ask of all workers. Every worker looks for it twice a second, so these rare events have an index each.

create index task_events_revocations on event_store.task_events (position) where name = 'task.revocation_requested';
