-- Sessions cut along days, and heartbeats per license and minute (docs/adr/0022-heartbeat-minutes.md).

create view analytics.fct_session_days as
select lived.session_id,
       lived.license_id,
       day_start_at,
       extract(epoch from least(lived.ended_at, day_start_at + interval '24 hours')
                          - greatest(lived.started_at, day_start_at))::double precision as session_seconds,
       lived.started_at >= day_start_at                                                 as is_first_day,
       lived.is_ended and lived.ended_at <= day_start_at + interval '24 hours'          as is_last_day
from (
    select s.session_id, s.license_id, s.started_at, s.ended_at is not null as is_ended,
           greatest(s.started_at, coalesce(s.ended_at, t.log_time)) as ended_at
    from read_model.sessions s
    left join read_model.log_time t on true
    where s.state is not null
) lived
cross join lateral generate_series(
    date_bin('24 hours', lived.started_at, 'epoch'), lived.ended_at, interval '24 hours'
) as day_start_at
where lived.ended_at > day_start_at or lived.started_at >= day_start_at;

comment on view analytics.fct_session_days is
    'One row per session and day (UTC) in which it lived. Join fct_sessions on session_id, dim_licenses on license_id.';
comment on column analytics.fct_session_days.session_id is 'The session.';
comment on column analytics.fct_session_days.license_id is 'The license it uses.';
comment on column analytics.fct_session_days.day_start_at is 'Beginning of the day, 00:00 UTC.';
comment on column analytics.fct_session_days.session_seconds is 'Its time within the day; an active session counts up to log time.';
comment on column analytics.fct_session_days.is_first_day is 'Whether it started in this day.';
comment on column analytics.fct_session_days.is_last_day is 'Whether it ended in this day; false for an active session.';

create table read_model.heartbeat_minutes (
    license_id        text,
    minute_start_at   timestamptz,
    heartbeats        bigint           not null,
    max_delay_seconds double precision not null,
    primary key (license_id, minute_start_at)
) with (fillfactor = 70);
comment on table read_model.heartbeat_minutes is
    'One row per license and minute (UTC) of the latest days from which heartbeats are stored; written by the task aggregate_usage_metrics.';
create index heartbeat_minutes_by_minute on read_model.heartbeat_minutes using brin (minute_start_at);

create table read_model.heartbeat_minutes_unclaimed (
    session_id        text,
    minute_start_at   timestamptz,
    heartbeats        bigint           not null,
    max_delay_seconds double precision not null,
    primary key (session_id, minute_start_at)
);
comment on table read_model.heartbeat_minutes_unclaimed is
    'One row per session that is not known to have started and minute: its license is not known yet.';

create view analytics.fct_heartbeat_minutes as
select license_id, minute_start_at, heartbeats as heartbeat_count, max_delay_seconds
from read_model.heartbeat_minutes;

comment on view analytics.fct_heartbeat_minutes is
    'One row per license and minute (UTC) of the latest 30 days from which heartbeats of its sessions are stored. Join dim_licenses on license_id.';
comment on column analytics.fct_heartbeat_minutes.license_id is 'The license.';
comment on column analytics.fct_heartbeat_minutes.minute_start_at is 'Beginning of the minute, by the heartbeats'' own time.';
comment on column analytics.fct_heartbeat_minutes.heartbeat_count is 'How many are stored, whether they were news or not; fct_sessions counts those that were.';
comment on column analytics.fct_heartbeat_minutes.max_delay_seconds is
    'The longest from a heartbeat''s own time to its being stored; negative where the sender''s clock is ahead.';

create or replace view analytics.meta_usage as
select progress.counted_at                                                 as counted_at,
       progress.log_time                                                   as counted_until,
       (select log_time from read_model.log_time)                          as log_time_at,
       (select count(*) from read_model.usage_changes)                     as waiting_change_count,
       (select updated_at from event_store.checkpoints
        where follower = 'usage.heartbeat_minutes' and log = 'heartbeats') as heartbeats_counted_at
from (values (true)) as one (is_there)
left join read_model.usage_progress progress on true;
comment on view analytics.meta_usage is
    'One row. How fresh usage_hourly, usage_daily and fct_heartbeat_minutes are: they are exact for everything up to the last count, and the next one takes in what waits.';
comment on column analytics.meta_usage.heartbeats_counted_at is 'When fct_heartbeat_minutes last moved on.';
