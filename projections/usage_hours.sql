-- Usage of each license in each of the stale hours, whose rows are gone by now, from the sessions as they stand.
with stretch as (
    select license_id, min(hour_start_at) as first_hour, max(hour_start_at) as last_hour
    from pg_temp.stale_hours
    group by license_id
), lived as (
    select license_id, session_id, on_lapse, started_at, first_hour, last_hour,
           greatest(started_at, coalesce(ended_at, (select log_time from read_model.log_time))) as ended_at
    from stretch
    join read_model.sessions using (license_id)
    where state is not null
        and (coalesce(ended_at, 'infinity') >= first_hour or started_at >= first_hour)
        and started_at < last_hour + interval '1 hour'
), piece as materialized (
    -- Each session cut along the hours; one without length belongs to the hour it started in. Materialized: else the
    -- planner would look at all stale hours of a license for each of its sessions.
    select license_id, session_id, hour_start_at,
           greatest(started_at, hour_start_at) as begins_at,
           least(ended_at, hour_start_at + interval '1 hour') as ends_at,
           started_at >= hour_start_at as is_start
    from lived
    cross join lateral generate_series(
        greatest(date_bin('1 hour', started_at, 'epoch'), first_hour), least(ended_at, last_hour), interval '1 hour'
    ) as hour_start_at
    where ended_at > hour_start_at or started_at >= hour_start_at
), away as (  -- from each lapse by which a session gave its seat back to its return; one that was skipped has no row
    select session_id, lapsed_at, coalesce(resumed_at, next_at, 'infinity') as returned_at
    from (
        select session_id, lapsed_at, resumed_at, lead(coalesce(lapsed_at, resumed_at)) over (
            partition by session_id order by version
        ) as next_at
        from read_model.session_lapses
        where session_id in (select session_id from lived where on_lapse is distinct from 'keep')
    ) lapse
    where lapsed_at is not null
), edge as (  -- the first of each piece carries what is added up
    select license_id, hour_start_at, at, step, step as seat_step, is_piece, is_piece and is_start as is_start,
           case when is_piece then extract(epoch from ends_at - begins_at) end as seconds
    from piece
    cross join lateral (values
        (begins_at, case when ends_at > begins_at then 1 else 0 end, true),
        (ends_at, case when ends_at > begins_at then -1 else 0 end, false)
    ) as edge (at, step, is_piece)
    union all
    select license_id, hour_start_at, at, 0, step, false, false, null
    from piece
    join away using (session_id)
    cross join lateral (
        values (greatest(lapsed_at, begins_at), -1), (least(returned_at, ends_at), 1)
    ) as edge (at, step)
    where lapsed_at < ends_at and returned_at > begins_at
), level as (  -- at one instant those that end go before those that begin
    select license_id, hour_start_at, is_piece, is_start, seconds,
           sum(step) over upwards as open_sessions, sum(seat_step) over upwards as seats_taken
    from edge
    join pg_temp.stale_hours using (license_id, hour_start_at)
    window upwards as (partition by license_id, hour_start_at order by at, seat_step rows unbounded preceding)
)
insert into read_model.usage_hourly
    (license_id, hour_start_at, sessions, sessions_started, session_seconds, peak_concurrent_sessions,
     peak_seats_taken)
select license_id, hour_start_at, count(*) filter (where is_piece), count(*) filter (where is_start), sum(seconds),
       max(open_sessions), max(seats_taken)
from level
group by license_id, hour_start_at
