-- Events that projections pass over. Asked for at every page, and rare: so they have an index of their own.

create index licensing_events_skips on event_store.licensing_events ((data->>'log'), ((data->>'position')::bigint))
    where name = 'event.skipped';

create view analytics.meta_skipped_events as
select data->>'log'                as log,
       (data->>'position')::bigint as position,
       data->>'skipped_id'         as event_id,
       data->>'skipped_stream'     as stream_id,
       data->>'skipped_name'       as event_name,
       data->>'reason'             as reason,
       metadata->>'actor'          as skipped_by,
       occurred_at                 as skipped_at
from event_store.licensing_events
where name = 'event.skipped';

comment on view analytics.meta_skipped_events is
    'One row per event that somebody decided to skip: it stays in its log and no read model counts it.';
comment on column analytics.meta_skipped_events.log is 'The log the event is in.';
comment on column analytics.meta_skipped_events.position is 'Its position there.';
comment on column analytics.meta_skipped_events.event_id is 'Its id.';
comment on column analytics.meta_skipped_events.stream_id is 'The stream it is in.';
comment on column analytics.meta_skipped_events.event_name is 'Its stored name.';
comment on column analytics.meta_skipped_events.reason is 'Why it is skipped.';
comment on column analytics.meta_skipped_events.skipped_by is 'Who decided that.';
comment on column analytics.meta_skipped_events.skipped_at is
    'When. Read models that had counted it by then go on counting it until they are rebuilt.';
