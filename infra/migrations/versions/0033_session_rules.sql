-- The rules a session lives by, what became of every heartbeat, and the stretches in which nobody's silence counts.

alter table read_model.sessions
    add column silent_since               timestamptz,
    add column silent_heard_at            timestamptz,
    add column back_at                    timestamptz,
    add column late_count                 integer not null default 0,
    add column future_count               integer not null default 0,
    add column repeated_count             integer not null default 0,
    add column out_of_order_count         integer not null default 0,
    add column least_delay_seconds        double precision,
    add column last_delay_seconds         double precision,
    add column policy                     text,
    add column heartbeat_interval_seconds double precision,
    add column monitoring_starts          text,
    add column on_lapse                   text,
    add column resurrection               text,
    add column lapsed_at                  timestamptz,
    add column patience_over_at           timestamptz,
    add column ended_by                   text;
comment on column read_model.sessions.returned_at is
    'When the heartbeat was recorded that broke the latest silence.';
comment on column read_model.sessions.silent_since is
    'The newest heartbeat before that silence; silent_heard_at: when one was last recorded before it; back_at: the first news since.';

-- What started until now is read as having these; what its transitions say is as a rebuild has it.
update read_model.sessions s
set policy = 'default', heartbeat_interval_seconds = 60, monitoring_starts = 'creation', on_lapse = 'end',
    resurrection = '10_minutes',
    lapsed_at = case when state = 'lapsed' then ended_at end,
    patience_over_at = case when state = 'lapsed' then ended_at + make_interval(secs => patience_seconds) end,
    ended_by = case when state = 'ended' then (
        select metadata ->> 'actor' from event_store.licensing_events e
        where e.stream_id = 'session-' || s.session_id and e.name = 'session.ended'
        order by version desc limit 1
    ) end
where state is not null;

update read_model.sessions set back_at = returned_at where returned_at is not null;

alter table read_model.session_returns
    add column recorded_at       timestamptz,
    add column last_heartbeat_at timestamptz,
    add column heard_at          timestamptz,
    add column log_time          timestamptz;
update read_model.session_returns set recorded_at = heartbeat_at;
alter table read_model.session_returns
    drop constraint session_returns_pkey,
    alter column heartbeat_at drop not null,
    add primary key (session_id, recorded_at);
comment on table read_model.session_returns is
    'Silences for which their session had no patience and that were broken since: what a sweep judges that was away meanwhile. heartbeat_at is the first news since, log_time how far log time had come.';

create table read_model.blind_windows (
    since_at    timestamptz primary key,
    until_at    timestamptz not null,
    away        text        not null,
    recorded_at timestamptz not null
);
comment on table read_model.blind_windows is
    'Stretches of log time in which nobody looked; since_at is 1970 where it is not known.';

create or replace view analytics.fct_sessions as
select s.session_id,
       s.license_id,
       s.state,
       s.state = 'active' as is_open,
       s.host,
       s.started_at,
       s.last_heartbeat_at,
       s.heartbeat_count,
       s.patience_seconds,
       s.ended_at,
       s.end_reason,
       s.lapses           as lapse_count,
       s.lapse_judged_at,
       s.resumed_at,
       extract(epoch from greatest(coalesce(s.ended_at, t.log_time), s.started_at) - s.started_at)::double precision
                          as session_seconds,
       s.ended_by,
       s.lapsed_at,
       s.patience_over_at,
       s.state = 'active' or (s.state = 'lapsed' and s.on_lapse = 'keep')
                          as is_holding_seat,
       s.policy,
       s.heartbeat_interval_seconds,
       s.monitoring_starts,
       s.on_lapse,
       s.resurrection,
       s.last_heard_at    as last_heartbeat_recorded_at,
       s.least_delay_seconds as clock_skew_seconds,
       s.last_delay_seconds
from read_model.sessions s
left join read_model.log_time t on true
where s.state is not null;

comment on column analytics.fct_sessions.heartbeat_count is 'How many heartbeats came that were newer than all before: its signs of life.';
comment on column analytics.fct_sessions.ended_at is 'When it ended; for a lapsed session its last sign of life, unless its rules keep it; empty while it has not ended.';
comment on column analytics.fct_sessions.ended_by is 'Who ended it: the actor of session.ended.';
comment on column analytics.fct_sessions.lapsed_at is 'Its last sign of life, while it is lapsed.';
comment on column analytics.fct_sessions.patience_over_at is 'When its patience was over, put off by blind windows, while it is lapsed: its time to resume counts from here.';
comment on column analytics.fct_sessions.is_holding_seat is 'Whether it takes one of its license''s seats: active, or lapsed under rules that keep it.';
comment on column analytics.fct_sessions.policy is 'What the rules are called that it started under.';
comment on column analytics.fct_sessions.heartbeat_interval_seconds is 'How often it is meant to send heartbeats.';
comment on column analytics.fct_sessions.monitoring_starts is 'From when on its silence counts: creation or first_heartbeat.';
comment on column analytics.fct_sessions.on_lapse is 'What a lapse does: end: it counts as ended at its last heartbeat; keep: it stays lapsed in its seat.';
comment on column analytics.fct_sessions.resurrection is 'How long after its patience is over a heartbeat resumes it: never, 1_minute … 15_minutes, always.';
comment on column analytics.fct_sessions.last_heartbeat_recorded_at is 'When a heartbeat of it was last recorded, by the database''s clock.';
comment on column analytics.fct_sessions.clock_skew_seconds is 'Estimate of how far its clock is behind ours (below zero: ahead): the shortest time from a heartbeat''s own time to its recording. It holds the shortest delay on the way, too.';
comment on column analytics.fct_sessions.last_delay_seconds is 'From the own time of its newest heartbeat to its recording.';

create view analytics.fct_heartbeat_outcomes as
select s.session_id,
       s.license_id,
       told.outcome,
       told.heartbeats::bigint as heartbeat_count,
       told.outcome in ('counted', 'late', 'future') and s.state is not null
                               as is_sign_of_life,
       s.last_heartbeat_at,
       s.last_heard_at         as last_heartbeat_recorded_at
from read_model.sessions s
cross join lateral (values
    ('counted', case when s.state is null then 0 else s.heartbeat_count - s.late_count - s.future_count end),
    ('late', case when s.state is null then 0 else s.late_count end),
    ('future', case when s.state is null then 0 else s.future_count end),
    ('repeated', case when s.state is null then 0 else s.repeated_count end),
    ('out_of_order', case when s.state is null then 0 else s.out_of_order_count end),
    ('unknown_session', case when s.state is null then s.heartbeat_count + s.repeated_count + s.out_of_order_count else 0 end),
    ('ended_session', case when s.state = 'ended' and s.last_heartbeat_at > s.ended_at then null else 0 end),
    ('lapsed_session', case when s.state = 'lapsed' and s.last_heartbeat_at > s.lapsed_at then null else 0 end)
) as told (outcome, heartbeats)
where told.heartbeats is distinct from 0;

comment on view analytics.fct_heartbeat_outcomes is
    'One row per session and outcome that heartbeats of it had. Join fct_sessions on session_id; sessions that were never started are in here only. docs/sessions.md says what each outcome means.';
comment on column analytics.fct_heartbeat_outcomes.session_id is 'What services call the session.';
comment on column analytics.fct_heartbeat_outcomes.license_id is 'The license it uses; empty for an unknown session.';
comment on column analytics.fct_heartbeat_outcomes.outcome is 'counted, late, future, repeated, out_of_order or unknown_session; ended_session, lapsed_session: some of those came after its end, or after a lapse that it has not resumed from.';
comment on column analytics.fct_heartbeat_outcomes.heartbeat_count is 'How many heartbeats had it; each heartbeat has one. Empty for ended_session and lapsed_session: at least one, and analytics.heartbeats_of lists them.';
comment on column analytics.fct_heartbeat_outcomes.is_sign_of_life is 'Whether they were newer than all before, and so moved its last sign of life on.';
comment on column analytics.fct_heartbeat_outcomes.last_heartbeat_at is 'The session''s newest heartbeat, of any of these outcomes.';
comment on column analytics.fct_heartbeat_outcomes.last_heartbeat_recorded_at is 'When a heartbeat of it was last recorded.';

create view analytics.fct_blind_windows as
select nullif(since_at, 'epoch')                                                as since_at,
       until_at,
       extract(epoch from until_at - nullif(since_at, 'epoch'))::double precision as blind_seconds,
       nullif(away, '')                                                         as away,
       recorded_at
from read_model.blind_windows;

comment on view analytics.fct_blind_windows is
    'One row per stretch of log time in which nobody looked, because ingest, the broker or the database was away or ingest was stuck. Nobody''s silence counts in it: patience that would have been over began anew at its end.';
comment on column analytics.fct_blind_windows.since_at is 'Log time before it jumped; empty: not known, the log is older than blind windows.';
comment on column analytics.fct_blind_windows.until_at is 'Log time after it jumped.';
comment on column analytics.fct_blind_windows.blind_seconds is 'How long it was.';
comment on column analytics.fct_blind_windows.away is 'What ingest noticed to be out of reach or down: broker, database, ingest; with commas between them. Empty where it noticed nothing.';
comment on column analytics.fct_blind_windows.recorded_at is 'When it was recorded.';

create function analytics.heartbeats_of(session text, since timestamptz, until timestamptz)
returns table (
    occurred_at timestamptz, claimed_at timestamptz, recorded_at timestamptz, delay_seconds double precision,
    outcome text
) language sql stable as $$
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
comment on function analytics.heartbeats_of(text, timestamptz, timestamptz) is
    'Every heartbeat of a session that was recorded between two moments, from the log itself, with its outcome; repeated and out_of_order are told from those among them. It reads the whole log of heartbeats: ask seldom.';
