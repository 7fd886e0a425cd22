-- Sessions whose silences are to be judged, the longest silent first.
with standing as not materialized (  -- few of them are asked for: by index where they are
    select s.session_id, s.state, s.patience_seconds, s.last_heartbeat_at, s.last_heard_at, s.lapsed_at,
           s.patience_over_at, s.resurrection, t.log_time,
           s.monitoring_starts = 'creation' as is_watched_unheard,
           coalesce(s.resumed_at, s.started_at) as since_at,
           -- A silence that began before its latest return has been judged before.
           coalesce(s.resumed_at, '-infinity') as judged_until
    from read_model.sessions s
    left join read_model.log_time t on true
    where s.state in ('active', 'lapsed')
), quiet as materialized (  -- log time is further past its last sign of life than its patience; windows come next
    select *
    from (select *, greatest(since_at, last_heartbeat_at, last_heard_at) as sign_at from standing) active
    where state = 'active' and (is_watched_unheard or last_heartbeat_at is not null)
        and log_time - sign_at > make_interval(secs => patience_seconds)
), lapsing as (
    select session_id, sign_at as at from quiet where {still_silent} > patience_seconds
), missed as (  -- active, and was silent for too long before: nobody has looked meanwhile
    select s.session_id, min(r.last_heartbeat_at) as at
    from read_model.session_returns r
    join standing s using (session_id)
    where s.state = 'active' and coalesce(r.last_heartbeat_at, '-infinity') >= s.judged_until
        and (s.is_watched_unheard or r.last_heartbeat_at is not null)
        and r.log_time - greatest(s.since_at, r.last_heartbeat_at, r.heard_at) > make_interval(secs => s.patience_seconds)
        and {was_silent} > s.patience_seconds
    group by s.session_id
), returning_ as (
    select s.session_id, s.lapsed_at as at
    from (
        select standing.*,
               coalesce(
                   (select min(heartbeat_at) from read_model.session_returns r
                    where r.session_id = standing.session_id and r.heartbeat_at > standing.lapsed_at),
                   last_heartbeat_at
               ) as back_at
        from standing
        where state = 'lapsed' and last_heartbeat_at > lapsed_at
    ) s
    join unnest(%(ways_back)s::text[], %(windows)s::interval[]) as way (resurrection, length) using (resurrection)
    where s.back_at <= way.length + greatest(
        s.patience_over_at,
        (select max(until_at) from read_model.blind_windows w
         where w.until_at > s.lapsed_at and w.since_at <= s.back_at)
    )
), found as (
    select session_id, min(at) as at
    from (select * from lapsing union all select * from missed union all select * from returning_) each
    group by session_id
    order by min(at), session_id
    limit %(limit)s
)
select s.session_id, coalesce(s.log_time, 'epoch') as log_time, s.last_heartbeat_at, s.last_heard_at,
       returns.back_at, returns.before, returns.heard, returns.log_times
from found
join standing s using (session_id)
left join lateral (
    select array_agg(r.heartbeat_at order by r.recorded_at) as back_at,
           array_agg(r.last_heartbeat_at order by r.recorded_at) as before,
           array_agg(r.heard_at order by r.recorded_at) as heard,
           array_agg(coalesce(r.log_time, 'epoch') order by r.recorded_at) as log_times
    from (
        select recorded_at, heartbeat_at, last_heartbeat_at, heard_at, log_time
        from read_model.session_returns
        where session_id = s.session_id and coalesce(last_heartbeat_at, '-infinity') >= s.judged_until
        union all
        select s.last_heard_at, s.last_heartbeat_at, s.lapsed_at, null, null  -- its return is not kept any more, or was too short to be
        where s.state = 'lapsed' and s.last_heartbeat_at > s.lapsed_at and not exists (
            select from read_model.session_returns r
            where r.session_id = s.session_id and r.heartbeat_at > s.lapsed_at
        )
    ) r
) returns on true
order by found.at, s.session_id
