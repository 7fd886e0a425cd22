-- Usage by what changed (docs/adr/0021-usage.md). Whatever changes a session's license, start or end leaves behind what
-- the session was before: a late event, a lapse that is undone, a skip, a rebuild, a draft that is switched in. Heartbeats
-- set none of these columns and pay nothing.

create table read_model.usage_changes (
    change_number bigint generated always as identity primary key,
    session_id    text not null,
    license_id    text,
    started_at    timestamptz,
    ended_at      timestamptz
);
comment on table read_model.usage_changes is
    'One row per change of a session''s license, start or end since usage was last counted, with what was there before; no license: nothing was. Written by triggers on read_model.sessions, emptied by the task aggregate_usage_metrics.';

create table read_model.usage_progress (
    is_only_row   boolean primary key default true check (is_only_row),
    log_time      timestamptz,
    counted_at    timestamptz not null default clock_timestamp()
);
comment on table read_model.usage_progress is
    'One row once usage has been counted: up to which log time active sessions count in it, and when that was done.';

-- Rows there are were counted without sessions_started. All is counted anew where usage_progress has no row.
alter table read_model.usage_hourly add column sessions_started integer not null default 0;
alter table read_model.usage_daily add column sessions_started integer not null default 0;

create index sessions_by_license_and_end on read_model.sessions (license_id, coalesce(ended_at, 'infinity'::timestamptz))
    where state is not null;

create function read_model.note_changed_session() returns trigger language plpgsql as $$
begin
    if old.state is null then
        insert into read_model.usage_changes (session_id) values (new.session_id);
    else
        insert into read_model.usage_changes (session_id, license_id, started_at, ended_at)
        values (old.session_id, old.license_id, old.started_at, old.ended_at);
    end if;
    return null;
end $$;
comment on function read_model.note_changed_session() is 'Leaves in usage_changes what a session was before it changed.';

create function read_model.note_new_sessions() returns trigger language plpgsql as $$
begin
    insert into read_model.usage_changes (session_id) select session_id from changed where state is not null;
    return null;
end $$;
comment on function read_model.note_new_sessions() is 'Leaves in usage_changes that these sessions were not there before.';

create function read_model.note_gone_sessions() returns trigger language plpgsql as $$
begin
    insert into read_model.usage_changes (session_id, license_id, started_at, ended_at)
    select session_id, license_id, started_at, ended_at from changed where state is not null;
    return null;
end $$;
comment on function read_model.note_gone_sessions() is 'Leaves in usage_changes what sessions were that are gone.';

-- Not "of" all columns: heartbeats rewrite rows all the time and name none of these.
create trigger note_changed after update of state, license_id, started_at, ended_at on read_model.sessions
    for each row
    when ((old.state is null) <> (new.state is null) or old.license_id is distinct from new.license_id
          or old.started_at is distinct from new.started_at or old.ended_at is distinct from new.ended_at)
    execute function read_model.note_changed_session();
create trigger note_new after insert on read_model.sessions
    referencing new table as changed for each statement execute function read_model.note_new_sessions();
create trigger note_gone after delete on read_model.sessions
    referencing old table as changed for each statement execute function read_model.note_gone_sessions();

create or replace view analytics.usage_hourly as
select license_id, hour_start_at, sessions as session_count, session_seconds, peak_concurrent_sessions,
       sessions_started as started_session_count
from read_model.usage_hourly;
comment on column analytics.usage_hourly.started_session_count is 'Sessions that started in the hour.';

create or replace view analytics.usage_daily as
select license_id, day_start_at, sessions as session_count, session_seconds, peak_concurrent_sessions,
       sessions_started as started_session_count
from read_model.usage_daily;
comment on column analytics.usage_daily.started_session_count is 'Sessions that started in the day.';

create view analytics.meta_usage as
select progress.counted_at                                                 as counted_at,
       progress.log_time                                                   as counted_until,
       (select log_time from read_model.log_time)                          as log_time_at,
       (select count(*) from read_model.usage_changes)                     as waiting_change_count
from (values (true)) as one (is_there)
left join read_model.usage_progress progress on true;
comment on view analytics.meta_usage is
    'One row. How fresh usage_hourly and usage_daily are: they are exact for everything up to the last count, and the next one takes in what waits.';
comment on column analytics.meta_usage.counted_at is 'When they were last brought up to date; empty where they never were.';
comment on column analytics.meta_usage.counted_until is 'The log time up to which active sessions count in them.';
comment on column analytics.meta_usage.log_time_at is 'Log time now: everything sent before it is in fct_sessions.';
comment on column analytics.meta_usage.waiting_change_count is 'Changes of sessions that the next count takes in.';
