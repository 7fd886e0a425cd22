-- Append-only logs with gap-safe positions.
--
-- Writers do not wait for each other. Before a statement takes its first position, a trigger announces, by a shared
-- advisory lock held until the transaction ends, the floor above which all of the transaction's positions will lie.
-- Readers stop at the lowest announced floor: below it everything is committed and visible, or will never be.

create function event_store.refuse_change() returns trigger language plpgsql as $$
begin
    if coalesce(current_setting('ledgerq.maintenance', true), '') <> 'on' then
        raise exception '%.% is append-only: % is refused (retention and erasure set ledgerq.maintenance = on)',
            tg_table_schema, tg_table_name, tg_op using errcode = 'insufficient_privilege';
    end if;
    return null;
end $$;
comment on function event_store.refuse_change() is 'Keeps the logs append-only';

create table event_store.checkpoints (
    follower text not null,
    log text not null,
    position bigint not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (follower, log)
);
comment on table event_store.checkpoints is 'One row per follower and log: how far the follower has done its work';
comment on column event_store.checkpoints.follower is 'Who follows: a projection, or a part of dispatch';
comment on column event_store.checkpoints.log is 'licensing, tasks or heartbeats';
comment on column event_store.checkpoints.position is 'Everything up to and including this position has been done';
comment on column event_store.checkpoints.updated_at is 'When it last moved, UTC';

-- licensing
create sequence event_store.licensing_events_position cache 1;
create table event_store.licensing_events (
    position bigint not null default nextval('event_store.licensing_events_position'),
    version bigint not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    event_id uuid not null,
    stream_id text not null,
    name text not null,
    data jsonb not null,
    metadata jsonb not null default '{}',
    constraint licensing_events_pkey primary key (stream_id, version),
    constraint licensing_events_position_key unique (position)
);
create index licensing_events_event_id on event_store.licensing_events (event_id);
create index licensing_events_correlation on event_store.licensing_events ((metadata->>'correlation_id'));
comment on table event_store.licensing_events is 'Sessions, licenses, schedules and what ingest met';
comment on column event_store.licensing_events.position is 'Place in the log; readers never see a gap that is filled later';
comment on column event_store.licensing_events.version is 'Place in the stream; for task runs the slot';
comment on column event_store.licensing_events.occurred_at is 'When it happened, by its teller, UTC';
comment on column event_store.licensing_events.recorded_at is 'When it was stored, by this database, UTC';
comment on column event_store.licensing_events.event_id is 'Derived from the cause: the same thing told twice has the same id';
comment on column event_store.licensing_events.stream_id is 'The thing it happened to';
comment on column event_store.licensing_events.name is 'What happened';
comment on column event_store.licensing_events.data is 'What the event says';
comment on column event_store.licensing_events.metadata is 'causation_id, correlation_id, actor, traceparent, tenant, source_event_id';

create function event_store.licensing_events_announce() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(51508001,
        ((select case when is_called then last_value else 0 end from event_store.licensing_events_position) % 2147483648)::int);
    return null;
end $$;
comment on function event_store.licensing_events_announce() is 'Announces the floor above which this transaction will write';
create trigger announce before insert on event_store.licensing_events
    for each statement execute function event_store.licensing_events_announce();
create trigger append_only before update or delete or truncate on event_store.licensing_events
    for each statement execute function event_store.refuse_change();

-- The highest position is read first and the floors after it: a writer that announces later takes later positions.
create function event_store.licensing_events_safe_position() returns bigint language plpgsql volatile as $$
declare
    highest bigint;
    withheld bigint;
begin
    select case when is_called then last_value else 0 end into highest from event_store.licensing_events_position;
    select max(behind) into withheld from (
        select (highest % 2147483648 - objid::bigint + 2147483648) % 2147483648 as behind
        from pg_locks
        where locktype = 'advisory' and classid = 51508001 and objsubid = 2 and granted
            and database = (select oid from pg_database where datname = current_database())
    ) floors
    where behind < 1073741824;  -- more: announced after `highest` was read, so it cannot write at or below it
    return highest - coalesce(withheld, 0);
end $$;
comment on function event_store.licensing_events_safe_position() is
    'Up to here the log is final: committed and visible, or never to come. Read rows in a later statement';

-- tasks
create sequence event_store.task_events_position cache 1;
create table event_store.task_events (
    position bigint not null default nextval('event_store.task_events_position'),
    version bigint not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    event_id uuid not null,
    stream_id text not null,
    name text not null,
    data jsonb not null,
    metadata jsonb not null default '{}',
    constraint task_events_pkey primary key (stream_id, version),
    constraint task_events_position_key unique (position)
);
create index task_events_event_id on event_store.task_events (event_id);
create index task_events_correlation on event_store.task_events ((metadata->>'correlation_id'));
comment on table event_store.task_events is 'What becomes of each accepted task';
comment on column event_store.task_events.position is 'Place in the log; readers never see a gap that is filled later';
comment on column event_store.task_events.version is 'Place in the stream; for task runs the slot';
comment on column event_store.task_events.occurred_at is 'When it happened, by its teller, UTC';
comment on column event_store.task_events.recorded_at is 'When it was stored, by this database, UTC';
comment on column event_store.task_events.event_id is 'Derived from the cause: the same thing told twice has the same id';
comment on column event_store.task_events.stream_id is 'The thing it happened to';
comment on column event_store.task_events.name is 'What happened';
comment on column event_store.task_events.data is 'What the event says';
comment on column event_store.task_events.metadata is 'causation_id, correlation_id, actor, traceparent, tenant, source_event_id';

create function event_store.task_events_announce() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(51508002,
        ((select case when is_called then last_value else 0 end from event_store.task_events_position) % 2147483648)::int);
    return null;
end $$;
comment on function event_store.task_events_announce() is 'Announces the floor above which this transaction will write';
create trigger announce before insert on event_store.task_events
    for each statement execute function event_store.task_events_announce();
create trigger append_only before update or delete or truncate on event_store.task_events
    for each statement execute function event_store.refuse_change();

-- The highest position is read first and the floors after it: a writer that announces later takes later positions.
create function event_store.task_events_safe_position() returns bigint language plpgsql volatile as $$
declare
    highest bigint;
    withheld bigint;
begin
    select case when is_called then last_value else 0 end into highest from event_store.task_events_position;
    select max(behind) into withheld from (
        select (highest % 2147483648 - objid::bigint + 2147483648) % 2147483648 as behind
        from pg_locks
        where locktype = 'advisory' and classid = 51508002 and objsubid = 2 and granted
            and database = (select oid from pg_database where datname = current_database())
    ) floors
    where behind < 1073741824;  -- more: announced after `highest` was read, so it cannot write at or below it
    return highest - coalesce(withheld, 0);
end $$;
comment on function event_store.task_events_safe_position() is
    'Up to here the log is final: committed and visible, or never to come. Read rows in a later statement';

-- heartbeats
create sequence event_store.heartbeat_events_position cache 1;
create table event_store.heartbeat_events (
    position bigint not null default nextval('event_store.heartbeat_events_position'),
    version bigint not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    event_id uuid not null,
    stream_id text not null,
    name text not null,
    data jsonb not null,
    metadata jsonb not null default '{}',
    constraint heartbeat_events_pkey primary key (stream_id, version),
    constraint heartbeat_events_position_key unique (position)
);
create index heartbeat_events_event_id on event_store.heartbeat_events (event_id);
comment on table event_store.heartbeat_events is 'Heartbeats in batches, and log time';
comment on column event_store.heartbeat_events.position is 'Place in the log; readers never see a gap that is filled later';
comment on column event_store.heartbeat_events.version is 'Place in the stream; for task runs the slot';
comment on column event_store.heartbeat_events.occurred_at is 'When it happened, by its teller, UTC';
comment on column event_store.heartbeat_events.recorded_at is 'When it was stored, by this database, UTC';
comment on column event_store.heartbeat_events.event_id is 'Derived from the cause: the same thing told twice has the same id';
comment on column event_store.heartbeat_events.stream_id is 'The thing it happened to';
comment on column event_store.heartbeat_events.name is 'What happened';
comment on column event_store.heartbeat_events.data is 'What the event says';
comment on column event_store.heartbeat_events.metadata is 'causation_id, correlation_id, actor, traceparent, tenant, source_event_id';

create function event_store.heartbeat_events_announce() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(51508003,
        ((select case when is_called then last_value else 0 end from event_store.heartbeat_events_position) % 2147483648)::int);
    return null;
end $$;
comment on function event_store.heartbeat_events_announce() is 'Announces the floor above which this transaction will write';
create trigger announce before insert on event_store.heartbeat_events
    for each statement execute function event_store.heartbeat_events_announce();
create trigger append_only before update or delete or truncate on event_store.heartbeat_events
    for each statement execute function event_store.refuse_change();

-- The highest position is read first and the floors after it: a writer that announces later takes later positions.
create function event_store.heartbeat_events_safe_position() returns bigint language plpgsql volatile as $$
declare
    highest bigint;
    withheld bigint;
begin
    select case when is_called then last_value else 0 end into highest from event_store.heartbeat_events_position;
    select max(behind) into withheld from (
        select (highest % 2147483648 - objid::bigint + 2147483648) % 2147483648 as behind
        from pg_locks
        where locktype = 'advisory' and classid = 51508003 and objsubid = 2 and granted
            and database = (select oid from pg_database where datname = current_database())
    ) floors
    where behind < 1073741824;  -- more: announced after `highest` was read, so it cannot write at or below it
    return highest - coalesce(withheld, 0);
end $$;
comment on function event_store.heartbeat_events_safe_position() is
    'Up to here the log is final: committed and visible, or never to come. Read rows in a later statement';
