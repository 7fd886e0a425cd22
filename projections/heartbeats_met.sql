-- Those of the sessions heard of in one page of the heartbeats log that the table did not know, with the parameters of
-- heartbeats.sql. One that the licensing log has brought meanwhile has been heard of by nobody yet.
insert into {sessions} (session_id, last_heartbeat_at, last_heard_at, heartbeat_count, returned_at)
select session_id, heartbeat_at, recorded_at, coalesce(news, 1), coalesce(returned_at, heartbeat_at)
from unnest(%s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
            %s::timestamptz[], %s::timestamptz[], %s::int[])
    as given (session_id, heartbeat_at, recorded_at, log_time, returned_at, returned_before, news)
where not exists (
    select from {sessions} known where known.session_id = given.session_id and known.last_heard_at is not null
)
on conflict (session_id) do update
set last_heartbeat_at = excluded.last_heartbeat_at,
    last_heard_at = excluded.last_heard_at,
    heartbeat_count = excluded.heartbeat_count,
    returned_at = excluded.returned_at
returning session_id
