-- Members of fan-ins that are not settled. Both tables follow from event_store.task_events: dispatch writes them in the transaction that moves
-- its checkpoint `dispatch.fan_ins`.

create table event_store.fan_in_members (
    run_id    text    not null,
    fan_in_id text    not null,
    place     integer not null,
    is_last   boolean not null,
    primary key (run_id, fan_in_id, place)
);
comment on table event_store.fan_in_members is 'One row per run that a fan-in waits for, and member that it is a link of: one may lead to several; gone once it is settled.';
comment on column event_store.fan_in_members.run_id is 'The run.';
comment on column event_store.fan_in_members.fan_in_id is 'The fan-in: Celery''s id of the group.';
comment on column event_store.fan_in_members.place is 'Of which member it is a link, from 0 in the order of the group.';
comment on column event_store.fan_in_members.is_last is 'Whether its value is the member''s.';

create table event_store.fan_in_places (
    fan_in_id    text    not null,
    place        integer not null,
    run_id       text    not null,
    is_succeeded boolean,
    primary key (fan_in_id, place)
);
comment on table event_store.fan_in_places is 'One row per member of a fan-in that is not settled.';
comment on column event_store.fan_in_places.fan_in_id is 'The fan-in.';
comment on column event_store.fan_in_places.place is 'The member, from 0 in the order of the group.';
comment on column event_store.fan_in_places.run_id is 'The run whose value is the member''s; of one that ended badly the run that did.';
comment on column event_store.fan_in_places.is_succeeded is 'What became of it; null: it has not ended.';

-- Nothing was declared before this: who counts begins here, and does not read the whole log first.
insert into event_store.checkpoints (follower, log, position)
select 'dispatch.fan_ins', 'tasks', coalesce(max(position), 0) from event_store.task_events;
