-- Each lapse with the return that undid it, and what lapses take from the seats of an hour (docs/adr/0021-usage.md): a
-- session that gave its seat back and won it again had none meanwhile, though it goes on as one session.

set local lock_timeout = '10s';  -- as in 0052: rather be refused, and done again

create table read_model.session_lapses (
    session_id       text,
    version          bigint,
    lapsed_at        timestamptz,
    patience_over_at timestamptz,
    judged_at        timestamptz,
    recorded_at      timestamptz,
    resumed_at       timestamptz,
    primary key (session_id, version)
);
comment on table read_model.session_lapses is
    'One row per lapse of a session and its place in the session''s stream, with the return that undid it.';
insert into read_model.followed_logs (projection, log) values ('session_lapses', 'licensing');

create view analytics.fct_session_lapses as
select lapse.session_id,
       s.license_id,
       lapse.version,
       greatest(lapse.returned_at, s.started_at) as alive_since_at,
       lapse.lapsed_at,
       extract(epoch from lapse.lapsed_at - greatest(lapse.returned_at, s.started_at))::double precision as alive_seconds,
       coalesce(lapse.patience_over_at, lapse.lapsed_at + make_interval(secs => s.patience_seconds)) as patience_over_at,
       lapse.judged_at,
       lapse.recorded_at,
       lapse.resumed_at is not null                                                      as is_resumed,
       lapse.resumed_at,
       extract(epoch from lapse.resumed_at - lapse.lapsed_at)::double precision          as away_seconds,
       s.on_lapse is distinct from 'keep'                                                as has_given_seat_back
from (
    select l.*, max(l.resumed_at) over (
        partition by l.session_id order by l.version rows between unbounded preceding and 1 preceding
    ) as returned_at
    from read_model.session_lapses l
) lapse
join read_model.sessions s using (session_id)
where lapse.lapsed_at is not null and s.state is not null;

comment on view analytics.fct_session_lapses is
    'One row per lapse of a session: its heartbeats stopped and nobody had signed out. Join fct_sessions on session_id, dim_licenses on license_id.';
comment on column analytics.fct_session_lapses.session_id is 'The session.';
comment on column analytics.fct_session_lapses.license_id is 'The license it uses.';
comment on column analytics.fct_session_lapses.version is 'The place of session.lapsed among the facts of the session; its lapses are in this order.';
comment on column analytics.fct_session_lapses.alive_since_at is 'Its start, or its return from the lapse before.';
comment on column analytics.fct_session_lapses.lapsed_at is 'Its last sign of life before the silence.';
comment on column analytics.fct_session_lapses.alive_seconds is 'How long it had lived until then, since its start or its last return.';
comment on column analytics.fct_session_lapses.patience_over_at is 'When its patience was over, put off by blind windows.';
comment on column analytics.fct_session_lapses.judged_at is 'The log time that was known when the lapse was found.';
comment on column analytics.fct_session_lapses.recorded_at is 'When the lapse was recorded.';
comment on column analytics.fct_session_lapses.is_resumed is 'Whether it came back from this lapse.';
comment on column analytics.fct_session_lapses.resumed_at is 'The heartbeat with which it came back; empty if it has not.';
comment on column analytics.fct_session_lapses.away_seconds is 'From its last sign of life to its return; empty if it has not come back.';
comment on column analytics.fct_session_lapses.has_given_seat_back is 'Whether it gave its seat back by this lapse; a session whose rules keep it does not.';

alter table read_model.usage_hourly add column peak_seats_taken integer not null default 0;
alter table read_model.usage_daily add column peak_seats_taken integer not null default 0;
delete from read_model.usage_progress;  -- all is counted anew

-- A lapse changes seats although its session's start and end stay, where its return comes in the same batch.
alter table read_model.usage_changes add column is_lapse boolean not null default false;
comment on table read_model.usage_changes is
    'One row per change of a session''s license, start or end since usage was last counted, with what was there before (no license: nothing was); and, where is_lapse, one per lapse that came, went or changed, from the lapse to the return. Written by triggers, emptied by the task aggregate_usage_metrics.';

create function read_model.note_changed_lapse() returns trigger language plpgsql as $$
begin
    insert into read_model.usage_changes (session_id, started_at, ended_at, is_lapse)
    select session_id, lapsed_at, resumed_at, true
    from (values (old.session_id, old.lapsed_at, old.resumed_at), (new.session_id, new.lapsed_at, new.resumed_at))
        as lapse (session_id, lapsed_at, resumed_at)
    where lapsed_at is not null;
    return null;
end $$;
comment on function read_model.note_changed_lapse() is 'Leaves in usage_changes what a lapse was and is.';

create function read_model.note_lapses() returns trigger language plpgsql as $$
begin
    insert into read_model.usage_changes (session_id, started_at, ended_at, is_lapse)
    select session_id, lapsed_at, resumed_at, true from changed where lapsed_at is not null;
    return null;
end $$;
comment on function read_model.note_lapses() is 'Leaves in usage_changes the lapses that came or went.';

create trigger note_changed after update on read_model.session_lapses
    for each row when (old.* is distinct from new.*) execute function read_model.note_changed_lapse();
create trigger note_new after insert on read_model.session_lapses
    referencing new table as changed for each statement execute function read_model.note_lapses();
create trigger note_gone after delete on read_model.session_lapses
    referencing old table as changed for each statement execute function read_model.note_lapses();

create or replace view analytics.usage_hourly as
select license_id, hour_start_at, sessions as session_count, session_seconds, peak_concurrent_sessions,
       sessions_started as started_session_count, peak_seats_taken
from read_model.usage_hourly;
comment on column analytics.usage_hourly.peak_concurrent_sessions is
    'The most that were open at one instant of the hour; a session that ends as another starts does not overlap it, and one that came back from a lapse was open meanwhile.';
comment on column analytics.usage_hourly.peak_seats_taken is
    'The most seats that were taken at one instant of the hour: by sessions that were open, except between a lapse by which one gave its seat back and its return.';

create or replace view analytics.usage_daily as
select license_id, day_start_at, sessions as session_count, session_seconds, peak_concurrent_sessions,
       sessions_started as started_session_count, peak_seats_taken
from read_model.usage_daily;
comment on column analytics.usage_daily.peak_concurrent_sessions is
    'The most that were open at one instant of the day; a session that ends as another starts does not overlap it, and one that came back from a lapse was open meanwhile.';
comment on column analytics.usage_daily.peak_seats_taken is
    'The most seats that were taken at one instant of the day: by sessions that were open, except between a lapse by which one gave its seat back and its return.';

-- Heartbeats after a lapse that no return has undone are listed as such, too, as docs/sessions.md says.
create or replace function analytics.heartbeats_of(session text, since timestamptz, until timestamptz)
returns table (
    occurred_at timestamptz, claimed_at timestamptz, recorded_at timestamptz, delay_seconds double precision,
    outcome text
) language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with told as (
        select e.position, beat.number, e.recorded_at,
               e.occurred_at + (e.data -> 'offsets_ms' ->> (beat.number - 1)::int)::bigint * interval '1 millisecond'
                   as at,
               coalesce((select (ahead ->> 1)::bigint from jsonb_array_elements(e.data -> 'ahead') as ahead
                         where (ahead ->> 0)::bigint = beat.number - 1), 0) * interval '1 millisecond' as ahead
        from event_store.heartbeat_events e
        cross join lateral jsonb_array_elements_text(e.data -> 'session_ids') with ordinality as beat (id, number)
        where e.name = 'session.heartbeats_received'
          and e.recorded_at >= since and e.recorded_at < until
          and e.data -> 'session_ids' ? session
          and beat.id = session
    ), placed as (
        select told.*,
               max(at) over (order by position, number rows between unbounded preceding and 1 preceding) as newest,
               (select w.occurred_at from event_store.heartbeat_events w
                where w.name = 'ingest.watermark_passed' and w.position < told.position
                order by w.position desc limit 1) as log_time
        from told
    )
    select p.at, p.at + p.ahead, p.recorded_at,
           extract(epoch from p.recorded_at - p.at - p.ahead)::double precision,
           case
               when s.state is null then 'unknown_session'
               when s.state = 'ended' and p.at > s.ended_at then 'ended_session'
               when s.state = 'lapsed' and p.at > s.lapsed_at then 'lapsed_session'
               when p.at = p.newest then 'repeated'
               when p.at < p.newest then 'out_of_order'
               when p.ahead > interval '0' then 'future'
               when p.log_time - p.at > interval '60 seconds' then 'late'
               else 'counted'
           end
    from placed p
    left join read_model.sessions s on s.session_id = session
    order by p.position, p.number
$$;
