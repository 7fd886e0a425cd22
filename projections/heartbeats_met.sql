-- Those of the sessions heard of in one page of the heartbeats log that the table did not know, with the parameters of
-- heartbeats.sql. One that the licensing log has brought meanwhile has been heard of by nobody yet.
insert into {sessions} (session_id, last_heartbeat_at, last_heard_at, heartbeat_count, late_count, future_count,
                        repeated_count, out_of_order_count, least_delay_seconds, last_delay_seconds, returned_at,
                        silent_since, silent_heard_at, back_at)
select session_id, heartbeat_at, recorded_at, coalesce(news, 1), coalesce(late, 0), coalesce(future, 0),
       coalesce(repeated, 0), coalesce(out_of_order, 0),
       coalesce(least_delay, round(date_part('epoch', recorded_at - heartbeat_at) * 1e6) / 1e6),
       coalesce(last_delay, round(date_part('epoch', recorded_at - heartbeat_at) * 1e6) / 1e6), returned_at,
       nullif(silent_since, '-infinity'), nullif(silent_heard_at, '-infinity'),
       case when news is null then heartbeat_at else nullif(back_at, '-infinity') end
from unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::int[],
            %s::int[], %s::int[], %s::int[], %s::int[], %s::float8[], %s::float8[],
            %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
    as given (session_id, heartbeat_at, recorded_at, returned_at, returned_before, news,
              late, future, repeated, out_of_order, least_delay, last_delay, silent_since, silent_heard_at,
              back_at)
where not exists (
    select from {sessions} known where known.session_id = given.session_id and known.last_heard_at is not null
)
on conflict (session_id) do update
set last_heartbeat_at = excluded.last_heartbeat_at,
    last_heard_at = excluded.last_heard_at,
    heartbeat_count = excluded.heartbeat_count,
    late_count = excluded.late_count,
    future_count = excluded.future_count,
    repeated_count = excluded.repeated_count,
    out_of_order_count = excluded.out_of_order_count,
    least_delay_seconds = excluded.least_delay_seconds,
    last_delay_seconds = excluded.last_delay_seconds,
    returned_at = excluded.returned_at,
    silent_since = excluded.silent_since,
    silent_heard_at = excluded.silent_heard_at,
    back_at = excluded.back_at
returning session_id
