-- The trace of a run, an attempt, a dead letter, an event: the one that its traceparent names, else the one that follows
-- from its correlation id, as infra/tracing/ids.py has it. So whoever has a row can look at its trace, also where
-- nobody traced it.

set local lock_timeout = '10s';  -- as in 0043: rather be refused, and done again
create function analytics.trace_id(traceparent text, correlation_id text) returns text
language sql immutable parallel safe as $$
    select coalesce(
        substring(traceparent from
            '^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$'),
        md5(correlation_id))
$$;
comment on function analytics.trace_id(text, text) is
    'The trace that a traceparent (W3C Trace Context) names; where it is none, the one that follows from the correlation id.';

create or replace view analytics.fct_task_runs as
select run_id,
       task,
       tier,
       queue,
       priority,
       state,
       ended_at is not null as is_ended,
       accepted_at,
       accepted_by,
       published_at,
       first_started_at,
       started_at,
       ended_at,
       attempts             as attempt_count,
       wait_seconds,
       run_seconds,
       error_type,
       error,
       result,
       license_id,
       correlation_id,
       coalesce(trace_id, md5(correlation_id)) as trace_id,
       worker,
       recorded_at
from read_model.task_runs;

create or replace view analytics.fct_task_attempts as
select a.run_id,
       a.attempt,
       a.task,
       a.queue,
       a.outcome,
       a.received_at,
       a.started_at,
       a.ended_at,
       a.spent_by,
       a.error_type,
       a.error,
       a.delay_seconds,
       a.runtime_seconds,
       a.ignored_outcome,
       a.worker,
       a.pid,
       a.code_version,
       a.is_spared,
       coalesce(a.trace_id, r.trace_id, md5(r.correlation_id)) as trace_id,
       a.admitted_by,
       a.deferred_by,
       a.turned_away_by
from read_model.task_attempts a
left join read_model.task_runs r on r.run_id = a.run_id;

create or replace view analytics.fct_dead_letters as
select d.run_id,
       d.task,
       d.reason,
       d.queue,
       d.priority,
       d.dead_lettered_at,
       d.end_state,
       d.error_type,
       d.error,
       coalesce(d.decision, 'open')                as letter_state,
       d.decided_at,
       d.decided_by,
       d.decision_reason,
       d.replay_id,
       d.new_run_id,
       came.run_id                                 as replay_of,
       coalesce(came.generation, 0)                as generation,
       r.license_id,
       r.attempts                                  as attempt_count,
       r.worker,
       a.code_version,
       coalesce(died.trace_id, r.trace_id, md5(r.correlation_id)) as trace_id,
       r.correlation_id
from read_model.dead_letters d
left join read_model.task_runs r on r.run_id = d.run_id
left join lateral (
    select code_version from read_model.task_attempts t
    where t.run_id = d.run_id and t.code_version is not null
    order by t.attempt desc limit 1
) a on true
left join lateral (
    select trace_id from read_model.task_attempts t where t.run_id = d.run_id order by t.attempt desc limit 1
) died on true
left join lateral (
    select p.run_id, p.generation from read_model.replayed_runs p where p.new_run_id = d.run_id limit 1
) came on true
where d.dead_lettered_at is not null;

create or replace view analytics.fct_replayed_runs as
select p.replay_id,
       p.run_id,
       p.new_run_id,
       p.task,
       p.replayed_at,
       p.replayed_by,
       p.generation,
       p.priority,
       p.patch,
       coalesce(r.state, 'requested') as outcome,
       r.ended_at is not null         as is_ended,
       r.ended_at,
       r.error_type,
       r.error,
       coalesce(r.trace_id, md5(r.correlation_id)) as trace_id
from read_model.replayed_runs p
left join read_model.task_runs r on r.run_id = p.new_run_id;

create or replace view analytics.fct_revocations as
select run_id,
       task,
       revocation_requested_at as requested_at,
       revocation_requested_by as requested_by,
       revocation_reason       as reason,
       state,
       ended_at,
       state = 'revoked'       as is_honored,
       coalesce(trace_id, md5(correlation_id)) as trace_id
from read_model.task_runs
where revocation_requested_at is not null;

create or replace view analytics.fct_flow_changes as
select data->>'kind'                                as kind,
       data->>'flow'                                as flow,
       split_part(name, '.', 2)                     as change,
       occurred_at                                  as changed_at,
       metadata->>'actor'                           as changed_by,
       data->>'reason'                              as reason,
       (data->>'rate_permits')::integer             as rate_permits,
       (data->>'rate_per_seconds')::double precision as rate_per_seconds,
       (data->>'concurrency_most')::integer         as concurrency_most,
       data->>'concurrency_key'                     as concurrency_key,
       analytics.trace_id(metadata->>'traceparent', metadata->>'correlation_id') as trace_id
from event_store.licensing_events
where name in ('flow.paused', 'flow.resumed', 'flow.limited', 'flow.limits_withdrawn');

-- Of messages that were put aside before, the trace follows from their id; rebuild ingest_dead_letters for what they said.

alter table read_model.ingest_dead_letters add column trace_id text;

create or replace view analytics.fct_ingest_dead_letters as
select message_id,
       reason,
       detail,
       message_type,
       source,
       source_event_id,
       fragment,
       dead_lettered_at,
       coalesce(trace_id, md5(message_id)) as trace_id
from read_model.ingest_dead_letters;

-- What each event says is left out: it may be somebody's data, and views and `_as_of` functions have what analysts may see.

create view analytics.fct_events as
select 'licensing' as log, position, event_id::text as event_id, name as event_name, stream_id, version, occurred_at,
       recorded_at, metadata->>'actor' as actor, metadata->>'causation_id' as causation_id,
       metadata->>'correlation_id' as correlation_id,
       analytics.trace_id(metadata->>'traceparent', metadata->>'correlation_id') as trace_id
from event_store.licensing_events
union all
select 'tasks' as log, position, event_id::text as event_id, name as event_name, stream_id, version, occurred_at,
       recorded_at, metadata->>'actor' as actor, metadata->>'causation_id' as causation_id,
       metadata->>'correlation_id' as correlation_id,
       analytics.trace_id(metadata->>'traceparent', metadata->>'correlation_id') as trace_id
from event_store.task_events
union all
select 'heartbeats' as log, position, event_id::text as event_id, name as event_name, stream_id, version, occurred_at,
       recorded_at, metadata->>'actor' as actor, metadata->>'causation_id' as causation_id,
       metadata->>'correlation_id' as correlation_id,
       analytics.trace_id(metadata->>'traceparent', metadata->>'correlation_id') as trace_id
from event_store.heartbeat_events;

comment on column analytics.fct_task_runs.trace_id is 'Its trace (W3C Trace Context), as Jaeger knows it: the one it was told, else the one that follows from its correlation id; `ledgerq trace show` prints it.';
comment on column analytics.fct_task_attempts.trace_id is 'Its trace (W3C Trace Context), as Jaeger knows it; another one than the run''s where it came long after the attempt before it.';
comment on column analytics.fct_dead_letters.trace_id is 'The trace it died in (W3C Trace Context): that of the last attempt, else the run''s.';
comment on column analytics.fct_replayed_runs.trace_id is 'The trace of the new run (W3C Trace Context); empty until it is accepted.';
comment on column analytics.fct_revocations.trace_id is 'The trace of the run (W3C Trace Context).';
comment on column analytics.fct_flow_changes.trace_id is 'Its trace (W3C Trace Context).';
comment on column analytics.fct_ingest_dead_letters.trace_id is 'The trace that the message said it belongs to (W3C Trace Context); where it could not be read or said none, one that follows from its id.';
comment on view analytics.fct_events is
    'One row per event of the logs: what is known of it beside what it says. An event of heartbeats holds many of them. Ask by time, correlation_id or stream_id; a trace_id is looked for in all of it.';
comment on column analytics.fct_events.log is 'licensing, tasks or heartbeats.';
comment on column analytics.fct_events.position is 'Its place in its log.';
comment on column analytics.fct_events.event_id is 'Its id; follows from its cause.';
comment on column analytics.fct_events.event_name is 'Its stored name (docs/events.md).';
comment on column analytics.fct_events.stream_id is 'What it happened to: <kind>-<id>.';
comment on column analytics.fct_events.version is 'Its place in the stream; of runs the slot that follows from what it is.';
comment on column analytics.fct_events.occurred_at is 'When it happened, by the clock of who tells it.';
comment on column analytics.fct_events.recorded_at is 'When it was written down, by the database''s clock.';
comment on column analytics.fct_events.actor is 'Who is answerable for it.';
comment on column analytics.fct_events.causation_id is 'What caused it: a message or another event.';
comment on column analytics.fct_events.correlation_id is 'Names the whole story it belongs to; the same in every log.';
comment on column analytics.fct_events.trace_id is 'Its trace (W3C Trace Context): the one it was told, else the one that follows from its correlation id.';

-- Where a read model has no trace, the run or the fact itself is asked, and only by who wants to know.

create or replace view analytics.fct_accepted_runs as
select coalesce(told.run_id, known.run_id)           as run_id,
       coalesce(told.recorded_at, known.recorded_at) as recorded_at,
       told.run_id is not null                       as is_in_log,
       known.run_id is not null                      as is_in_read_model,
       known.state,
       known.ended_at is not null                    as is_ended,
       coalesce(known.trace_id, md5(known.correlation_id)) as trace_id
from (
    select substr(stream_id, length('task_run-') + 1) as run_id, min(recorded_at) as recorded_at
    from event_store.task_events
    where stream_id like 'task\_run-%'
    group by stream_id
) told
full join read_model.task_runs known using (run_id);

create or replace view analytics.fct_priority_inversions as
select waiting.run_id,
       waiting.task,
       waiting.queue,
       waiting.priority,
       waiting.published_at,
       waiting.first_started_at,
       passing.run_id           as lower_run_id,
       passing.task             as lower_task,
       passing.priority         as lower_priority,
       passing.received_at      as lower_received_at,
       passing.first_started_at as lower_started_at,
       extract(epoch from coalesce(waiting.first_started_at, now()) - passing.first_started_at)::double precision
                                as inverted_seconds,
       coalesce(waiting.trace_id, md5(waiting.correlation_id)) as trace_id
from read_model.task_runs waiting
left join read_model.task_attempts mine on mine.run_id = waiting.run_id and mine.attempt = 1
cross join lateral (
    select lower.run_id, lower.task, lower.priority, begun.received_at, lower.first_started_at
    from generate_series(0, waiting.priority - 1) as level
    cross join lateral (
        select run_id, task, priority, first_started_at
        from read_model.task_runs
        where queue = waiting.queue and priority = level
            and first_started_at > waiting.published_at
            and first_started_at < coalesce(mine.received_at, waiting.first_started_at, waiting.ended_at, now())
        order by first_started_at
        limit 64
    ) lower
    join read_model.task_attempts begun on begun.run_id = lower.run_id and begun.attempt = 1
        and begun.received_at > waiting.published_at
    order by lower.first_started_at
    limit 1
) passing
where waiting.published_at is not null and waiting.queue is not null and waiting.priority > 0
    and not exists (  -- raised: it had a lower priority while it waited
        select from event_store.task_events copy
        where copy.stream_id = 'task_run-' || waiting.run_id and copy.version between 2147483649 and 2148483648);

create or replace view analytics.fct_notices as
select notice_id,
       template,
       cause,
       license_id,
       recipient,
       state,
       state = 'sent' as is_sent,
       sent_at,
       last_outcome_at,
       message_id,
       reply_code,
       reply,
       reason,
       detail,
       run_id,
       attempt,
       refusals as refusal_count,
       failures as failure_count,
       (select coalesce(r.trace_id, md5(r.correlation_id)) from read_model.task_runs r where r.run_id = n.run_id) as trace_id
from read_model.notices n;

create or replace view analytics.fct_license_changes as
select license_id,
       version,
       change,
       field,
       case when field = 'holder_email' then case when before is not null then 'an address' end else before end as before,
       case when field = 'holder_email' then case when after is not null then 'an address' end else after end   as after,
       changed_at,
       recorded_at,
       actor,
       reason,
       event_id,
       (select analytics.trace_id(e.metadata->>'traceparent', e.metadata->>'correlation_id')
        from event_store.licensing_events e
        where e.stream_id = 'license-' || c.license_id and e.version = c.version) as trace_id
from read_model.license_changes c;

create or replace view analytics.fct_seat_denials as
select denial_id, license_id, session_id, wish, reason, seats, seat_limit, seats_taken, host, denied_at, recorded_at,
       (select analytics.trace_id(e.metadata->>'traceparent', e.metadata->>'correlation_id')
        from event_store.licensing_events e
        where e.stream_id = 'session_denial-' || d.denial_id and e.version = 1) as trace_id
from read_model.seat_denials d;

create or replace view analytics.fct_folded_requests as
select message_id, task, unique_key, run_id, asked_run_id, asked_by, folded_at,
       (select analytics.trace_id(e.metadata->>'traceparent', e.metadata->>'correlation_id')
        from event_store.licensing_events e
        where e.stream_id = 'folded_request-' || f.message_id and e.version = 1) as trace_id
from read_model.folded_requests f;

comment on column analytics.fct_accepted_runs.trace_id is 'Its trace (W3C Trace Context); empty where only the log has it.';
comment on column analytics.fct_priority_inversions.trace_id is 'The trace of the run that waited (W3C Trace Context).';
comment on column analytics.fct_notices.trace_id is 'The trace of the run that says so (W3C Trace Context).';
comment on column analytics.fct_license_changes.trace_id is 'The trace of the fact (W3C Trace Context).';
comment on column analytics.fct_seat_denials.trace_id is 'The trace of the denial (W3C Trace Context): that of the message that asked.';
comment on column analytics.fct_folded_requests.trace_id is 'The trace of the request (W3C Trace Context); the run that had the key has its own.';

create or replace function analytics.task_as_of(id text, at timestamptz default null, by text default 'occurred')
returns table (
    run_id text, task text, tier text, queue text, priority integer, state text, is_ended boolean,
    accepted_at timestamptz, accepted_by text, published_at timestamptz, first_started_at timestamptz,
    started_at timestamptz, ended_at timestamptz, attempt_count integer, runtime_seconds double precision,
    error_type text, error text, result text, license_id text, correlation_id text, trace_id text, worker text,
    recorded_at timestamptz
) language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with told as (
        -- Holds for which their attempt has no room have a place of their own, from 2^33 on, and come before its start.
        select case when story.version >= 8589934592 and story.version < 8589934592 + 8000008
                    then (story.version - 8589934592) / 8 * 8 else story.version end as slot,
               story.version, story.occurred_at, story.recorded_at, story.data, story.metadata,
               substr(story.name, length('task.') + 1) as what
        from event_store.story_as_of('tasks', 'task_run-' || id, at, by) story
        where story.name in (
            'task.requested', 'task.published', 'task.received', 'task.started', 'task.retry_scheduled', 'task.succeeded',
            'task.failed', 'task.timed_out', 'task.lost', 'task.rejected', 'task.revoked', 'task.expired',
            'task.dead_lettered', 'task.outcome_ignored', 'task.revocation_requested')
    ), first as (  -- a run is accepted by its request or, where nobody asked us, by the first thing seen
        select told.occurred_at, told.slot, told.metadata from told order by told.slot, told.occurred_at limit 1
    ), deciding as (  -- the highest slot up to the end (2^30); what comes after it counts only where nothing else does
        select told.what, told.occurred_at, told.data, told.what not in
                   ('requested', 'published', 'received', 'started', 'retry_scheduled', 'outcome_ignored', 'revocation_requested') as is_end
        from told
        order by case when told.slot > 1073741824 then 0
                      when told.what in ('outcome_ignored', 'revocation_requested') then -1
                      else told.slot end desc, told.version
        limit 1
    ), tiers (name, highest) as (
        values ('critical', 10), ('high', 8), ('normal', 5), ('low', 2)
    ), said as (
        select told.*, tiers.name as tier, case
                   when told.what = 'requested'
                       then greatest(0, least(coalesce((told.data->>'priority')::int, tiers.highest / 2), tiers.highest))
                   when told.what in ('published', 'started', 'dead_lettered') then (told.data->>'priority')::int
               end as priority
        from told
        left join tiers on tiers.name = case told.what
            when 'requested' then coalesce(told.data->>'tier', 'normal') else substr(told.data->>'queue', length('tasks.') + 1) end
            and (told.what = 'requested' or told.data->>'queue' like 'tasks.%')
    )
    select id,
           max(said.data->>'task' collate "C"),
           max(said.tier collate "C"),
           max(said.data->>'queue' collate "C"),
           max(said.priority),
           case deciding.what
               when 'received' then 'held'
               when 'started' then 'running'
               when 'retry_scheduled' then 'retrying'
               when 'outcome_ignored' then 'requested'
               when 'revocation_requested' then 'requested'
               else deciding.what end,
           deciding.is_end,
           first.occurred_at,
           case first.slot when 1 then 'requested' else 'observed' end,
           max(said.occurred_at) filter (where said.version = 2),
           min(said.occurred_at) filter (where said.what = 'started'),
           max(said.occurred_at) filter (where said.what = 'started'),
           case when deciding.is_end then deciding.occurred_at end,
           coalesce(max((said.data->>'attempt')::int), 0),
           (deciding.data->>'runtime_seconds')::double precision,
           deciding.data->>'error_type',
           deciding.data->>'error',
           deciding.data->>'result',
           max(said.data->>'license_id' collate "C"),
           first.metadata->>'correlation_id',
           analytics.trace_id(first.metadata->>'traceparent', first.metadata->>'correlation_id'),
           (array_agg(said.data->>'worker' order by said.slot desc, said.data->>'worker' collate "C" desc) filter (where said.data->>'worker' is not null))[1],
           min(said.recorded_at)
    from said, first, deciding
    group by deciding.what, deciding.is_end, deciding.occurred_at, deciding.data, first.occurred_at, first.slot, first.metadata
$$;
