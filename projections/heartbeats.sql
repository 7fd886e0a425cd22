-- One page of the heartbeats log into the sessions; times are microseconds since 1970. The runner's compare-and-set lets
-- no second writer in, so a session that is not there when the statement begins is not there when it writes, and one that
-- is there is still where it was: it is looked up once (by the index: "offset 0" keeps the planner from reading all
-- sessions) and then found by its place.
with heard as (
    select session_id,
           timestamptz 'epoch' + heartbeat_us * interval '1 microsecond' as heartbeat_at,
           timestamptz 'epoch' + before_us * interval '1 microsecond'    as before_at,
           timestamptz 'epoch' + log_time_us * interval '1 microsecond'  as log_time,
           timestamptz 'epoch' + recorded_us * interval '1 microsecond'  as recorded_at
    from unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
        as given (session_id, heartbeat_us, before_us, log_time_us, recorded_us)
), placed as (
    select heard.*,
           known.place,
           greatest(heard.before_at, known.last_heartbeat_at) as previous_at,
           known.last_heartbeat_at is null or heard.heartbeat_at > known.last_heartbeat_at as is_news
    from heard
    left join lateral (
        select s.ctid as place, s.last_heartbeat_at from {sessions} s where s.session_id = heard.session_id offset 0
    ) known on true
), kept as (
    insert into {returns} (session_id, heartbeat_at)
    select session_id, heartbeat_at
    from placed
    where is_news
        and (previous_at is null
            or greatest(heartbeat_at, log_time, (select log_time from {log_time})) - previous_at > %s)
    on conflict do nothing
    returning session_id
), counted as (
    select session_id, place, max(heartbeat_at) as heartbeat_at, max(recorded_at) as recorded_at,
           count(*) filter (where is_news) as news
    from placed
    group by session_id, place
), moved as (
    update {sessions} known
    set last_heartbeat_at = greatest(known.last_heartbeat_at, counted.heartbeat_at),
        last_heard_at = greatest(known.last_heard_at, counted.recorded_at),
        heartbeat_count = known.heartbeat_count + counted.news
    from counted
    where known.ctid = counted.place
), met as (
    insert into {sessions} (session_id, last_heartbeat_at, last_heard_at, heartbeat_count)
    select session_id, heartbeat_at, recorded_at, news from counted where place is null
)
select distinct session_id from kept order by session_id
