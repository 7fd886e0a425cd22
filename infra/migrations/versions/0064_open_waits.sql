-- Follows from event_store.task_events: dispatch writes it in the transaction that moves its checkpoint `dispatch.waits.open`, when it takes over and
-- now and then. It is empty here: the first one to take over reads what began before.

create table event_store.open_waits (
    position bigint primary key
);
comment on table event_store.open_waits is 'One row per wait that had not ended when dispatch last looked, up to its checkpoint dispatch.waits.open.';
comment on column event_store.open_waits.position is 'Of its task.wait_began in the log of tasks.';
