-- The heartbeats of some batches, per license and minute of their own time; those of sessions that are not known to have
-- started are put aside by session.
with batch as materialized (
    select occurred_at, recorded_at, data
    from event_store.heartbeat_events told
    where name = 'session.heartbeats_received' and position > %(after)s and position <= %(upto)s
        and not exists (
            select from event_store.licensing_events skip
            where skip.name = 'event.skipped'
                and skip.data->>'log' = 'heartbeats' and (skip.data->>'position')::bigint = told.position
                and not exists (
                    select from event_store.licensing_events undone
                    where undone.stream_id = skip.stream_id and undone.version = skip.version + 1))
), counted as materialized (
    select license_id,
           case when license_id is null then beat.session_id end as session_id,
           date_bin('1 minute', at, 'epoch') as minute_start_at,
           count(*) as heartbeats,
           max(recorded_at - at) as max_delay
    from batch
    cross join lateral rows from (
        jsonb_array_elements_text(data->'session_ids'), jsonb_array_elements(data->'offsets_ms')
    ) as beat (session_id, offset_ms)
    cross join lateral (select occurred_at + offset_ms::bigint * interval '1 millisecond') as moment (at)
    left join read_model.sessions lived on lived.session_id = beat.session_id
    group by 1, 2, 3
), unclaimed as (
    insert into read_model.heartbeat_minutes_unclaimed as known
        (session_id, minute_start_at, heartbeats, max_delay_seconds)
    select session_id, minute_start_at, heartbeats, extract(epoch from max_delay) from counted where license_id is null
    on conflict (session_id, minute_start_at) do update
    set heartbeats = known.heartbeats + excluded.heartbeats,
        max_delay_seconds = greatest(known.max_delay_seconds, excluded.max_delay_seconds)
)
insert into read_model.heartbeat_minutes as known (license_id, minute_start_at, heartbeats, max_delay_seconds)
select license_id, minute_start_at, heartbeats, extract(epoch from max_delay) from counted where license_id is not null
on conflict (license_id, minute_start_at) do update
set heartbeats = known.heartbeats + excluded.heartbeats,
    max_delay_seconds = greatest(known.max_delay_seconds, excluded.max_delay_seconds)
