-- Usage of each license in each bucket (hour or day, UTC) from `since` up to `until`, from the sessions as they stand.
-- A session's interval is half-open: from its start up to, and without, its end; an active one goes on up to log time.
with span as (
    select make_interval(hours => %(hours)s) as width  -- hours, so that no time zone's idea of a day comes in
), lived as (
    select session_id, license_id, started_at, greatest(started_at, coalesce(ended_at, log_time)) as ended_at
    from read_model.sessions
    left join read_model.log_time on true
    where state is not null
      and started_at < %(until)s
      and greatest(started_at, coalesce(ended_at, log_time)) >= %(since)s
), piece as (  -- each session cut along the buckets; one without length belongs to the bucket it started in
    select license_id, session_id, bucket_at,
           greatest(started_at, bucket_at) as begins_at,
           least(ended_at, bucket_at + width) as ends_at
    from span, lived, lateral generate_series(
        greatest(date_bin(width, started_at, 'epoch'), %(since)s),
        least(ended_at, %(until)s - interval '1 microsecond'),
        width
    ) as bucket_at
    where ended_at > bucket_at or started_at >= bucket_at
), edge as (  -- at one instant those that end go before those that begin
    select license_id, bucket_at, begins_at as at, 1 as step from piece where ends_at > begins_at
    union all
    select license_id, bucket_at, ends_at, -1 from piece where ends_at > begins_at
), level as (
    select license_id, bucket_at,
           sum(step) over (partition by license_id, bucket_at order by at, step rows unbounded preceding) as open_sessions
    from edge
), peak as (
    select license_id, bucket_at, max(open_sessions) as peak_concurrent_sessions from level group by license_id, bucket_at
), counted as (
    select license_id, bucket_at, count(*) as sessions, sum(extract(epoch from ends_at - begins_at)) as session_seconds
    from piece
    group by license_id, bucket_at
), found as (
    select license_id, bucket_at, sessions, session_seconds, coalesce(peak_concurrent_sessions, 0) as peak_concurrent_sessions
    from counted
    left join peak using (license_id, bucket_at)
), gone as (
    delete from {table} old
    where old.{bucket} >= %(since)s and old.{bucket} < %(until)s
      and not exists (select from found where found.license_id = old.license_id and found.bucket_at = old.{bucket})
)
insert into {table} as old (license_id, {bucket}, sessions, session_seconds, peak_concurrent_sessions)
select license_id, bucket_at, sessions, session_seconds, peak_concurrent_sessions from found
on conflict (license_id, {bucket}) do update
set sessions = excluded.sessions,
    session_seconds = excluded.session_seconds,
    peak_concurrent_sessions = excluded.peak_concurrent_sessions
