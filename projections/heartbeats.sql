-- The sessions heard of in one page of the heartbeats log, each once, where the table knows them.
--   heartbeat_at  the newest heartbeat
--   recorded_at   when one was last recorded
--   log_time      log time at its place
-- Of those heard of more than once, which come first, it has been found out before:
--   returned_at      the latest heartbeat that broke a silence
--   returned_before  one did where the last heartbeat known is before this moment
--   news             how many were newer than all before
with moved as (
    update {sessions} known
    set last_heartbeat_at = greatest(known.last_heartbeat_at, given.heartbeat_at),
        last_heard_at = greatest(known.last_heard_at, given.recorded_at),
        heartbeat_count = known.heartbeat_count
            + case when known.last_heartbeat_at >= given.heartbeat_at then 0 else coalesce(given.news, 1) end,
        returned_at = case
            when known.last_heartbeat_at >= coalesce(
                given.returned_before,
                least(given.heartbeat_at, greatest(given.heartbeat_at, given.log_time) - given.silence)
            ) then known.returned_at
            else coalesce(given.returned_at, given.heartbeat_at)
        end
    from (
        select heard.*, silence
        from unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
                    %s::timestamptz[], %s::timestamptz[], %s::int[])
            as heard (session_id, heartbeat_at, recorded_at, log_time, returned_at, returned_before, news),
            (values (%s)) as constant (silence)
    ) given
    where known.session_id = given.session_id
    returning known.session_id, known.returned_at = coalesce(given.returned_at, given.heartbeat_at) as has_returned
)
select count(*), array_agg(session_id) filter (where has_returned) from moved
