-- The hours (UTC) of licenses in which something counts otherwise than before. `was`: the changed sessions as they were
-- counted; `lives`: as they are now. Intervals are half-open; an active session goes on up to log time, and one without
-- length belongs to the hour it started in.
with taken as (
    delete from read_model.usage_changes
    returning change_number, session_id, license_id, started_at, ended_at, is_lapse
), progress as (
    select (select log_time from read_model.usage_progress) as counted_until,
           (select log_time from read_model.log_time) as log_time
), asked as (
    select date_bin('1 hour', %(since)s::timestamptz, 'epoch') as since
), was as (
    select distinct on (session_id) session_id, license_id, started_at,
           greatest(started_at, coalesce(ended_at, counted_until)) as ends_at
    from taken, progress
    where not is_lapse
    order by session_id, change_number
), lives as (
    select session_id, license_id, started_at, greatest(started_at, coalesce(ended_at, log_time)) as ends_at
    from read_model.sessions, progress
    where state is not null and session_id in (select session_id from was)
), touched as (
    -- where only the end has moved, the hours before both ends are what they were
    select lives.license_id, least(was.ends_at, lives.ends_at) as begins_at, greatest(was.ends_at, lives.ends_at) as ends_at
    from was
    join lives on (lives.session_id, lives.license_id, lives.started_at) = (was.session_id, was.license_id, was.started_at)
    where was.ends_at <> lives.ends_at
    union all
    select each.license_id, each.started_at, each.ends_at
    from was
    left join lives using (session_id)
    cross join lateral (
        values (was.license_id, was.started_at, was.ends_at), (lives.license_id, lives.started_at, lives.ends_at)
    ) as each (license_id, started_at, ends_at)
    where (was.license_id, was.started_at) is distinct from (lives.license_id, lives.started_at)
        and each.license_id is not null
    union all  -- between a lapse and the return seats count otherwise
    select lapsing.license_id, taken.started_at,
           least(taken.ended_at, greatest(lapsing.started_at, coalesce(lapsing.ended_at, log_time)))
    from taken
    join read_model.sessions lapsing using (session_id)
    cross join progress
    where is_lapse and state is not null
    union all  -- log time has moved, and with it the end of all that is active
    select license_id,
           case when counted_until is null or log_time is null then min(started_at) else least(counted_until, log_time) end,
           greatest(counted_until, log_time)
    from read_model.sessions, progress
    where state is not null and ended_at is null and counted_until is distinct from log_time
    group by license_id, counted_until, log_time
    union all  -- asked for, whatever has changed
    select license_id, greatest(started_at, since), greatest(started_at, coalesce(ended_at, log_time))
    from read_model.sessions, progress, asked
    where state is not null and greatest(started_at, coalesce(ended_at, log_time)) >= since
    union all
    select license_id, hour_start_at, hour_start_at from read_model.usage_hourly, asked where hour_start_at >= since
)
insert into pg_temp.stale_hours (license_id, hour_start_at)
select distinct license_id, hour_start_at
from touched, generate_series(date_bin('1 hour', begins_at, 'epoch'), ends_at, interval '1 hour') as hour_start_at
