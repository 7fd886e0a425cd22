-- A skip can be taken back: what has passed over the event then lacks it, as what had counted a skipped one has it too many.

alter table read_model_draft.counted_skips add column is_missing boolean not null default false;
comment on table read_model_draft.counted_skips is
    'One row per event and set of tables (live or draft) that counts it although it is skipped, or lacks it although it no longer is.';
comment on column read_model_draft.counted_skips.is_missing is
    'Whether the tables lack it: its skip was taken back after they had passed over it. Until they are rebuilt.';

create or replace view analytics.meta_skipped_events as
select skip.data->>'log'                as log,
       (skip.data->>'position')::bigint as position,
       skip.data->>'skipped_id'         as event_id,
       skip.data->>'skipped_stream'     as stream_id,
       skip.data->>'skipped_name'       as event_name,
       skip.data->>'reason'             as reason,
       skip.metadata->>'actor'          as skipped_by,
       skip.occurred_at                 as skipped_at,
       undone.occurred_at               as unskipped_at,
       undone.metadata->>'actor'        as unskipped_by,
       undone.data->>'reason'           as unskip_reason
from event_store.licensing_events skip
left join event_store.licensing_events undone
    on undone.stream_id = skip.stream_id and undone.version = skip.version + 1
where skip.name = 'event.skipped';

comment on view analytics.meta_skipped_events is
    'One row per decision to skip an event: it stays in its log and no read model counts it, until that is taken back.';
comment on column analytics.meta_skipped_events.unskipped_at is 'When that was taken back; empty while the event is skipped.';
comment on column analytics.meta_skipped_events.unskipped_by is 'Who took it back.';
comment on column analytics.meta_skipped_events.unskip_reason is 'Why it was taken back.';
