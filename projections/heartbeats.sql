-- The sessions heard of in one page of the heartbeats log, each once, where the table knows them.
--   heartbeat_at     the newest heartbeat
--   recorded_at      when one was last recorded
--   returned_at      when the heartbeat was recorded that broke a silence, if one did
--   returned_before  one did where the last sign of life known is before this moment, or where there is none
-- What follows is found out before for those heard of more than once, or late, or from the future; of the others it is
-- null: their only heartbeat is news, repeated or out of order. Its delay is told in whole microseconds, as that of the
-- others: date_part adds up days and seconds, and is some nanoseconds off.
--   news, late, future, repeated, out_of_order   how many were what
--   least_delay, last_delay                      seconds from occurring to being recorded
--   silent_since, silent_heard_at                the silence that was broken then; -infinity where there was nothing
--   back_at                                      the first news since then; -infinity where there was none
with moved as (
    update {sessions} known
    set last_heartbeat_at = greatest(known.last_heartbeat_at, given.heartbeat_at),
        last_heard_at = greatest(known.last_heard_at, given.recorded_at),
        heartbeat_count = known.heartbeat_count
            + case when known.last_heartbeat_at >= given.heartbeat_at then 0 else coalesce(given.news, 1) end,
        late_count = known.late_count + coalesce(given.late, 0),
        future_count = known.future_count + coalesce(given.future, 0),
        repeated_count = known.repeated_count
            + coalesce(given.repeated, (known.last_heartbeat_at = given.heartbeat_at)::int, 0),
        out_of_order_count = known.out_of_order_count
            + coalesce(given.out_of_order, (known.last_heartbeat_at > given.heartbeat_at)::int, 0),
        least_delay_seconds = case when known.last_heartbeat_at >= given.heartbeat_at then known.least_delay_seconds
            else least(known.least_delay_seconds, coalesce(given.least_delay,
                       round(date_part('epoch', given.recorded_at - given.heartbeat_at) * 1e6) / 1e6)) end,
        last_delay_seconds = case when known.last_heartbeat_at >= given.heartbeat_at then known.last_delay_seconds
            else coalesce(given.last_delay,
                          round(date_part('epoch', given.recorded_at - given.heartbeat_at) * 1e6) / 1e6) end,
        returned_at = case when greatest(known.last_heartbeat_at, known.last_heard_at) >= given.returned_before
                           then known.returned_at else given.returned_at end,
        silent_since = case when greatest(known.last_heartbeat_at, known.last_heard_at) >= given.returned_before
                                 then known.silent_since
                            when given.news is null then known.last_heartbeat_at
                            else nullif(given.silent_since, '-infinity') end,
        silent_heard_at = case when greatest(known.last_heartbeat_at, known.last_heard_at) >= given.returned_before
                                    then known.silent_heard_at
                               when given.news is null then known.last_heard_at
                               else nullif(given.silent_heard_at, '-infinity') end,
        back_at = case when given.news is not null then nullif(given.back_at, '-infinity')
                       when known.last_heartbeat_at >= given.heartbeat_at
                           then case when greatest(known.last_heartbeat_at, known.last_heard_at) >= given.returned_before
                                then known.back_at end
                       when greatest(known.last_heartbeat_at, known.last_heard_at) >= given.returned_before
                           then coalesce(known.back_at, given.heartbeat_at)
                       else given.heartbeat_at end
    from unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::int[],
                %s::int[], %s::int[], %s::int[], %s::int[], %s::float8[], %s::float8[],
                %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
        as given (session_id, heartbeat_at, recorded_at, returned_at, returned_before, news,
                  late, future, repeated, out_of_order, least_delay, last_delay, silent_since, silent_heard_at,
                  back_at)
    where known.session_id = given.session_id
    returning known.session_id, known.silent_since, known.silent_heard_at,
              given.news is null and known.returned_at = given.recorded_at as has_broken,
              given.news is null and known.back_at = given.heartbeat_at as is_back
)
select (select count(*) from moved), session_id, silent_since, silent_heard_at, has_broken, is_back
from (select) as always left join moved on has_broken or is_back
