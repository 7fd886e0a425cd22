-- The log of heartbeats, partitioned by what its streams are called: docs/adr/0013-retention.md.
--
--   before      what was there when this was migrated; nothing is copied
--   YYYY_MM     batches whose heartbeats are of that month (UTC): the time is in the stream's id, a UUIDv7
--   watermarks  log time: few
--   rest        batches of any other time: clocks that are wrong, months that are gone

set local lock_timeout = '10s';  -- who waits for a long query keeps all others waiting: rather be refused, and done again
lock table event_store.heartbeat_events in access exclusive mode;

create temporary table seen_through on commit drop as
select distinct view.oid::regclass::text as name, pg_get_viewdef(view.oid) as definition
from pg_depend
join pg_rewrite rule on rule.oid = pg_depend.objid and pg_depend.classid = 'pg_rewrite'::regclass
join pg_class view on view.oid = rule.ev_class and view.relkind = 'v'
where pg_depend.refclassid = 'pg_class'::regclass and pg_depend.refobjid = 'event_store.heartbeat_events'::regclass;

create temporary table sequence_was on commit drop as
select last_value, is_called from event_store.heartbeat_events_position_seq;

alter table event_store.heartbeat_events rename to heartbeat_events_before;
alter table event_store.heartbeat_events_before alter column position drop identity;
alter table event_store.heartbeat_events_before drop constraint heartbeat_events_position_key;
alter table event_store.heartbeat_events_before drop constraint heartbeat_events_pkey;
alter table event_store.heartbeat_events_before alter column stream_id type text collate "C";  -- no row is written anew
alter table event_store.heartbeat_events_before
    add constraint heartbeat_events_before_pkey primary key using index heartbeat_events_before_pkey;
alter index event_store.heartbeat_events_event_id rename to heartbeat_events_before_event_id;
alter index event_store.heartbeat_events_correlation rename to heartbeat_events_before_correlation;
drop trigger announce on event_store.heartbeat_events_before;
drop trigger append_only on event_store.heartbeat_events_before;

create table event_store.heartbeat_events (
    position    bigint      not null generated always as identity
                            (sequence name event_store.heartbeat_events_position_seq),
    version     bigint      not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    event_id    uuid        not null,
    stream_id   text        collate "C" not null,
    name        text        not null,
    data        jsonb       not null,
    metadata    jsonb       not null default '{}',
    constraint heartbeat_events_pkey primary key (stream_id, version)
) partition by range (stream_id);
create index heartbeat_events_position on event_store.heartbeat_events (position);
create index heartbeat_events_event_id on event_store.heartbeat_events (event_id);
create index heartbeat_events_correlation on event_store.heartbeat_events ((metadata ->> 'correlation_id'), position);
select setval('event_store.heartbeat_events_position_seq', last_value, is_called) from sequence_was;

create trigger append_only before update or delete or truncate on event_store.heartbeat_events
    for each statement execute function event_store.refuse_change();
create trigger announce before insert on event_store.heartbeat_events
    for each statement execute function event_store.heartbeat_events_announce();

comment on table event_store.heartbeat_events is 'Log of heartbeats, many to an event, and of log time; a partition for each month.';
comment on column event_store.heartbeat_events.position is
    'Place in the log. Ascends; has holes where a transaction was rolled back or a month was dropped. Order of recording, not of occurrence.';
comment on column event_store.heartbeat_events.version is 'Place in the stream: counted from 1.';
comment on column event_store.heartbeat_events.occurred_at is 'When it happened, by the clock of who tells it.';
comment on column event_store.heartbeat_events.recorded_at is 'When it was written down, by this database''s clock.';
comment on column event_store.heartbeat_events.event_id is 'Follows from the cause: the same fact told twice has the same id.';
comment on column event_store.heartbeat_events.stream_id is 'What it happened to: <kind>-<id>. Decides the partition.';
comment on column event_store.heartbeat_events.name is 'What happened: a chosen, lasting name such as session.heartbeats_received.';
comment on column event_store.heartbeat_events.data is 'What the event says beyond the other columns.';
comment on column event_store.heartbeat_events.metadata is
    'causation_id, correlation_id, actor, traceparent, tenant, source_event_id; schema_version where it is above 1.';

do $$
declare
    held record;
begin
    for held in
        select privilege_type, case grantee when 0 then 'public' else grantee::regrole::text end as holder, is_grantable
        from pg_class, aclexplode(relacl) where oid = 'event_store.heartbeat_events_before'::regclass
    loop
        execute format('grant %s on event_store.heartbeat_events to %s%s', held.privilege_type, held.holder,
            case when held.is_grantable then ' with grant option' else '' end);
    end loop;
    for held in select name, definition from seen_through loop
        execute format('create or replace view %s as %s', held.name, held.definition);
    end loop;
end $$;

-- A statement's triggers are those of the table it names. One that names a partition goes past the log's: it would add
-- events behind readers' backs, or remove some. So partitions refuse all of it.
create function event_store.guard_heartbeat_part(part text, about text) returns void language plpgsql as $$
begin
    execute format('create trigger append_only before insert or update or delete or truncate on event_store.%I '
        'for each statement execute function event_store.refuse_change()', part);
    execute format('comment on table event_store.%I is %L', part, about);
end $$;
comment on function event_store.guard_heartbeat_part(text, text) is
    'Keeps a partition of the log of heartbeats from being written past the log, and says what it holds.';

alter table event_store.heartbeat_events attach partition event_store.heartbeat_events_before
    for values from ('heartbeats-') to ('watermark.');
alter table event_store.heartbeat_events_before drop constraint heartbeat_events_bounds;
create table event_store.heartbeat_events_watermarks
    (like event_store.heartbeat_events including defaults including comments);
alter table event_store.heartbeat_events attach partition event_store.heartbeat_events_watermarks
    for values from ('watermark_passed-') to ('watermark_passed.');
create table event_store.heartbeat_events_rest
    (like event_store.heartbeat_events including defaults including comments);
alter table event_store.heartbeat_events attach partition event_store.heartbeat_events_rest default;
select event_store.guard_heartbeat_part('heartbeat_events_before', 'Part of the log of heartbeats: what was stored before there were months.'),
       event_store.guard_heartbeat_part('heartbeat_events_watermarks', 'Part of the log of heartbeats: log time.'),
       event_store.guard_heartbeat_part('heartbeat_events_rest', 'Part of the log of heartbeats: batches of months that have no partition.');

create function event_store.heartbeat_month_bound(month date) returns text language sql immutable as $$
    select 'heartbeat_batch-' || substr(hex, 1, 8) || '-' || substr(hex, 9)
    from lpad(to_hex((extract(epoch from month) * 1000)::bigint), 12, '0') as hex
$$;
comment on function event_store.heartbeat_month_bound(date) is
    'Where the streams of batches begin whose heartbeats are of this day (UTC) or later: a UUIDv7 begins with 48 bits of milliseconds.';

create function event_store.make_heartbeat_month(of_day date) returns boolean language plpgsql as $$
declare
    month date := date_trunc('month', of_day)::date;
    part text := 'heartbeat_events_' || to_char(month, 'YYYY_MM');
    lower_bound text := event_store.heartbeat_month_bound(month);
    upper_bound text := event_store.heartbeat_month_bound((month + interval '1 month')::date);
    maintained text := coalesce(current_setting('ledgerq.maintenance', true), '');
begin
    if to_regclass('event_store.' || part) is not null then
        return false;
    end if;
    execute format('create table event_store.%I (like event_store.heartbeat_events including defaults including comments)', part);
    -- Who sends with a clock that is ahead may have been here first: those batches move, in their places.
    perform set_config('ledgerq.maintenance', 'on', true);
    execute format(
        'with early as (delete from event_store.heartbeat_events_rest '
        'where stream_id >= %L and stream_id < %L returning *) '
        'insert into event_store.%I select * from early', lower_bound, upper_bound, part);
    perform set_config('ledgerq.maintenance', maintained, true);
    execute format('alter table event_store.heartbeat_events attach partition event_store.%I for values from (%L) to (%L)',
        part, lower_bound, upper_bound);
    perform event_store.guard_heartbeat_part(
        part, format('Part of the log of heartbeats: batches of %s (UTC).', to_char(month, 'YYYY-MM')));
    return true;
end $$;
comment on function event_store.make_heartbeat_month(date) is
    'Makes the partition of the month that has this day, unless it is there; whether it did.';

select event_store.make_heartbeat_month((date_trunc('month', now() at time zone 'UTC') + make_interval(months => ahead))::date)
from generate_series(0, 2) as ahead;
