-- Backpressure. The backlog of a tier is counted by every ingest once a second where it is limited, and runs of one tier can
-- lie far apart among those of others; the facts themselves are rare, so they have an index of their own.

create index task_events_backlog on event_store.task_events ((data->>'tier'), position) where name = 'task.requested';
create index licensing_events_backpressure on event_store.licensing_events (stream_id, version)
    where name in ('backpressure.began', 'backpressure.ended');

create view analytics.fct_backpressure as
select began.data->>'tier'                                as tier,
       began.data->>'queue'                               as queue,
       began.occurred_at                                  as began_at,
       ended.occurred_at                                  as ended_at,
       ended.position is null                             as is_on,
       extract(epoch from coalesce(ended.occurred_at, now()) - began.occurred_at)::double precision
                                                          as held_seconds,
       (began.data->>'limit_messages')::bigint            as limit_messages,
       (began.data->>'ready_messages')::bigint            as began_ready_messages,
       (began.data->>'backlog_runs')::bigint              as began_backlog_runs,
       (ended.data->>'ready_messages')::bigint            as ended_ready_messages,
       (ended.data->>'backlog_runs')::bigint              as ended_backlog_runs
from event_store.licensing_events began
left join event_store.licensing_events ended
    on ended.stream_id = began.stream_id and ended.version = began.version + 1 and ended.name = 'backpressure.ended'
where began.name = 'backpressure.began';

comment on view analytics.fct_backpressure is
    'One row per time that a tier''s queue was full and dispatch kept the tier''s further runs in the log. Read from the log itself, so it never lags.';
comment on column analytics.fct_backpressure.tier is 'Whose queue: critical, high, normal, low.';
comment on column analytics.fct_backpressure.queue is 'The broker''s queue.';
comment on column analytics.fct_backpressure.began_at is 'When dispatch saw that it is full.';
comment on column analytics.fct_backpressure.ended_at is 'When dispatch saw that there is room again, and went on; empty while it holds runs back.';
comment on column analytics.fct_backpressure.is_on is 'Whether it holds runs back now.';
comment on column analytics.fct_backpressure.held_seconds is 'From the one to the other; up to now while it holds runs back.';
comment on column analytics.fct_backpressure.limit_messages is 'How many waiting messages made it full: LEDGERQ_TIER_READY_LIMIT_MESSAGES.';
comment on column analytics.fct_backpressure.began_ready_messages is 'Messages that waited in the queue when it began.';
comment on column analytics.fct_backpressure.began_backlog_runs is 'Accepted runs of the tier that were not published when it began; counted up to 100,000.';
comment on column analytics.fct_backpressure.ended_ready_messages is 'Messages that waited in the queue when it ended.';
comment on column analytics.fct_backpressure.ended_backlog_runs is 'Accepted runs of the tier that were not published when it ended; counted up to 100,000.';
