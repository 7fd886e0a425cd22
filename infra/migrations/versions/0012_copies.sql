-- Every worker looks twice a second which messages were published once more; these events are rare.

create index task_events_republished on event_store.task_events (position) where name = 'task.republished';
