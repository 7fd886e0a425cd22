-- How far each log is sealed: docs/adr/0012-seals.md. Sealing that stands still shows here; nothing else would.

create view analytics.meta_seals as
select logs.log                                  as log,
       coalesce(seal.number, 0)                  as seal_count,
       coalesce(seal.upto_position, 0)           as sealed_position,
       seal.sealed_at                            as sealed_at,
       coalesce(seal.signature is not null, false) as is_signed,
       waiting.recorded_at                       as waiting_since_at
from (values ('licensing'), ('tasks'), ('heartbeats')) as logs (log)
left join lateral (
    select number, upto_position, sealed_at, signature from event_store.seals
    where seals.log = logs.log order by number desc limit 1
) seal on true
left join lateral (
    (select recorded_at from event_store.licensing_events
        where logs.log = 'licensing' and position > coalesce(seal.upto_position, 0) order by position limit 1)
    union all
    (select recorded_at from event_store.task_events
        where logs.log = 'tasks' and position > coalesce(seal.upto_position, 0) order by position limit 1)
    union all
    (select recorded_at from event_store.heartbeat_events
        where logs.log = 'heartbeats' and position > coalesce(seal.upto_position, 0) order by position limit 1)
) waiting on true;

comment on view analytics.meta_seals is
    'One row per log: how far it is sealed against being changed unseen. Where an event waits for longer than LEDGERQ_SEAL_INTERVAL_SECONDS, nobody seals.';
comment on column analytics.meta_seals.log is 'licensing, tasks or heartbeats.';
comment on column analytics.meta_seals.seal_count is 'How many seals there are.';
comment on column analytics.meta_seals.sealed_position is 'Everything up to and including this position is sealed; 0 where nothing is.';
comment on column analytics.meta_seals.sealed_at is 'When the newest seal was made.';
comment on column analytics.meta_seals.is_signed is 'Whether the newest seal is signed.';
comment on column analytics.meta_seals.waiting_since_at is 'When the first event that is not sealed was recorded; empty where all are.';
