-- Usage in each day (UTC) that has a stale hour and whose row is gone by now, from the day's hours: its sessions are those
-- that were there in its first hour and those that started later, and its peaks are the highest of its hours.
insert into read_model.usage_daily
    (license_id, day_start_at, sessions, sessions_started, session_seconds, peak_concurrent_sessions, peak_seats_taken)
select license_id, day_start_at,
       sum(case when hour_start_at = day_start_at then sessions else sessions_started end),
       sum(sessions_started), sum(session_seconds), max(peak_concurrent_sessions),
       max(peak_seats_taken)
from (
    select license_id, hour_start_at, date_bin('24 hours', hour_start_at, 'epoch') as day_start_at,
           sessions, sessions_started, session_seconds, peak_concurrent_sessions, peak_seats_taken
    from read_model.usage_hourly
) hourly
join (
    select distinct license_id, date_bin('24 hours', hour_start_at, 'epoch') as day_start_at from pg_temp.stale_hours
) stale using (license_id, day_start_at)
group by license_id, day_start_at
