-- A projection that comes later adds a row here and leaves the view of freshness alone.

create table read_model.followed_logs (
    projection text not null,
    log        text not null check (log in ('licensing', 'tasks', 'heartbeats')),
    primary key (projection, log)
);
comment on table read_model.followed_logs is 'One row per projection and log it follows.';

insert into read_model.followed_logs (projection, log) values
    ('sessions', 'licensing'),
    ('sessions', 'heartbeats'),
    ('licenses', 'licensing'),
    ('task_runs', 'tasks'),
    ('task_attempts', 'tasks'),
    ('dead_letters', 'tasks'),
    ('ingest_dead_letters', 'licensing');

create or replace view analytics.meta_freshness as
with source (log, safe_position) as (
    values ('licensing', event_store.licensing_events_safe_position()),
           ('tasks', event_store.task_events_safe_position()),
           ('heartbeats', event_store.heartbeat_events_safe_position())
), reached as (
    select f.projection, f.log, s.safe_position, coalesce(c.position, 0) as position, c.updated_at
    from read_model.followed_logs f
    join source s using (log)
    left join event_store.checkpoints c on c.follower = 'projection.' || f.projection and c.log = f.log
)
select r.projection,
       r.log,
       r.position,
       r.safe_position,
       greatest(r.safe_position - r.position, 0)                                as lag_events,
       coalesce(extract(epoch from now() - waiting.recorded_at), 0)::double precision
                                                                                as lag_seconds,
       (select count(*) from read_model.parked_events p where p.projection = r.projection and p.log = r.log)
                                                                                as parked_events,
       r.updated_at                                                             as moved_at,
       latest.recorded_at                                                       as source_last_recorded_at
from reached r
left join lateral (
    (select recorded_at from event_store.licensing_events e
     where r.log = 'licensing' and e.position > r.position order by e.position limit 1)
    union all
    (select recorded_at from event_store.task_events e
     where r.log = 'tasks' and e.position > r.position order by e.position limit 1)
    union all
    (select recorded_at from event_store.heartbeat_events e
     where r.log = 'heartbeats' and e.position > r.position order by e.position limit 1)
) waiting on true
left join lateral (
    (select recorded_at from event_store.licensing_events e where r.log = 'licensing' order by e.position desc limit 1)
    union all
    (select recorded_at from event_store.task_events e where r.log = 'tasks' order by e.position desc limit 1)
    union all
    (select recorded_at from event_store.heartbeat_events e where r.log = 'heartbeats' order by e.position desc limit 1)
) latest on true;
