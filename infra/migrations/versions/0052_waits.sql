-- Runs that wait for an event or a time (docs/waiting.md).

set local lock_timeout = '10s';  -- who waits for a long query keeps all others waiting: rather be refused, and done again

-- Nobody has waited before this: who ends waits begins here, and does not read the whole log first.
insert into event_store.checkpoints (follower, log, position)
select follower, 'tasks', coalesce((select max(position) from event_store.task_events), 0)
from (values ('dispatch.waits'), ('dispatch.resuming')) as new (follower);

alter table read_model.task_runs drop constraint task_runs_state_check;
alter table read_model.task_runs add constraint task_runs_state_check check (state in (
    'requested', 'published', 'held', 'running', 'retrying', 'waiting',
    'succeeded', 'failed', 'timed_out', 'lost', 'rejected', 'revoked', 'expired', 'dead_lettered')) not valid;
alter table read_model.task_attempts drop constraint task_attempts_outcome_check;
alter table read_model.task_attempts add constraint task_attempts_outcome_check check (outcome in (
    'held', 'running', 'ignored', 'retry_scheduled', 'wait_began',
    'succeeded', 'failed', 'timed_out', 'lost', 'rejected', 'revoked', 'expired')) not valid;
alter table read_model.task_attempts
    add column wait_began_at timestamptz,
    add column wait_event    text,
    add column wait_match    text,
    add column wait_until    timestamptz,
    add column wait_ended_at timestamptz,
    add column wait_end      text,
    add column wait_event_id text,
    add constraint task_attempts_wait_end_check check (wait_end in ('satisfied', 'timed_out')) not valid;

create view analytics.fct_waits as
select a.run_id,
       a.attempt,
       a.task,
       r.correlation_id,
       a.wait_event                                    as waits_for,
       a.wait_match                                    as matching,
       a.wait_began_at                                 as began_at,
       a.wait_until                                    as wait_until,
       coalesce(a.wait_end, case when r.ended_at is not null then r.state else 'open' end) as state,
       coalesce(a.wait_ended_at, r.ended_at)           as ended_at,
       extract(epoch from coalesce(a.wait_ended_at, r.ended_at, now()) - a.wait_began_at)::double precision as seconds,
       a.wait_event_id                                 as event_id
from read_model.task_attempts a
left join read_model.task_runs r using (run_id)
where a.wait_began_at is not null;
comment on view analytics.fct_waits is
    'One row per wait of a task run for an event or a time. Join fct_task_runs on run_id. docs/waiting.md says how runs come to wait.';
comment on column analytics.fct_waits.run_id is 'The run.';
comment on column analytics.fct_waits.attempt is 'The attempt that came to wait; the next one goes on.';
comment on column analytics.fct_waits.task is 'Name of the Celery task.';
comment on column analytics.fct_waits.correlation_id is 'Names the whole story.';
comment on column analytics.fct_waits.waits_for is 'Name of the event that it waits for; empty: a time alone.';
comment on column analytics.fct_waits.matching is 'What the event has to say, as JSON: names of fields and their values.';
comment on column analytics.fct_waits.began_at is 'When it began to wait.';
comment on column analytics.fct_waits.wait_until is 'The time it waits for or, where it waits for an event, until when that may come; empty: for ever.';
comment on column analytics.fct_waits.state is 'open, satisfied, timed_out, or how the run ended while it waited (revoked).';
comment on column analytics.fct_waits.ended_at is 'When it ended; empty while open.';
comment on column analytics.fct_waits.seconds is 'How long it was, or has been so far.';
comment on column analytics.fct_waits.event_id is 'Id of the event that satisfied it, in the log.';

comment on column analytics.fct_task_runs.state is 'Open: requested, published, held, running, retrying, waiting. Ended: succeeded, failed, timed_out, lost, rejected, revoked, expired, dead_lettered.';
comment on column analytics.fct_task_attempts.outcome is 'held, running, retry_scheduled, wait_began, the run''s end if this attempt ended it (succeeded, failed, timed_out, lost, rejected, revoked, expired), or ignored: it reported after the run had ended otherwise or gone on.';

-- Each instant begins a stretch that lasts until the next one. `place` is the order within an attempt; `seen_at` is what
-- was told, and empty where an instant follows from others (when a delay is over), which is no clock's fault.
create or replace view analytics.fct_task_stretches as
select r.run_id,
       r.task,
       r.tier,
       r.license_id,
       r.state,
       r.ended_at is not null                                                    as is_ended,
       r.accepted_at,
       one.attempt,
       one.stretch,
       one.began_at,
       one.ended_at,
       extract(epoch from one.ended_at - one.began_at)::double precision         as seconds,
       coalesce(extract(epoch from one.began_at - one.seen_at), 0)::double precision as moved_seconds
from read_model.task_runs r
cross join lateral (
    select greatest(coalesce(r.ended_at, now()), r.accepted_at) as until,
           count(*) filter (where a.received_at is distinct from
               least(a.eta_held_at, a.paused_at, a.limited_at, a.deferred_at, a.delivered_at)) = 0 as is_known
    from read_model.task_attempts a
    where a.run_id = r.run_id
) whole
cross join lateral (
    select ordered.attempt, ordered.stretch, ordered.seen_at, ordered.began_at,
           lead(ordered.began_at, 1, whole.until) over in_order as ended_at
    from (
        select told.*, least(max(told.at) over in_order, whole.until) as began_at
        from (
            select 1 as attempt, -1 as place, case when whole.is_known then 'dispatch' else 'not_known' end as stretch,
                   r.accepted_at as at, r.accepted_at as seen_at
            union all
            -- The broker may hand a message out before its publisher reads the confirm.
            select 1, 0, 'queue', least(r.published_at, (
                       select least(a.eta_held_at, a.paused_at, a.limited_at, a.deferred_at, a.delivered_at, a.started_at)
                       from read_model.task_attempts a where a.run_id = r.run_id and a.attempt = 1)), r.published_at
            where r.published_at is not null and whole.is_known
            union all
            select a.attempt + (instant.place = 0)::integer, instant.place, instant.stretch, instant.at, instant.seen_at
            from (
                select each.attempt, each.eta_held_at, each.paused_at, each.limited_at, each.deferred_at,
                       -- A run that a worker told us of begins with what it told.
                       case when r.accepted_by = 'observed' then greatest(each.delivered_at, r.accepted_at)
                            else each.delivered_at end as delivered_at,
                       each.started_at,
                       case when each.outcome = 'retry_scheduled' then each.ended_at end as spent_at,
                       each.wait_began_at, each.wait_ended_at,
                       each.delay_seconds * interval '1 second' as delay,
                       lead(least(each.eta_held_at, each.paused_at, each.limited_at, each.deferred_at, each.delivered_at,
                                  each.started_at)) over (order by each.attempt) as next_at
                from read_model.task_attempts each
                where each.run_id = r.run_id and whole.is_known
            ) a
            cross join lateral (
                values (1, 'eta', a.eta_held_at, a.eta_held_at),
                       (1, 'paused', a.paused_at, a.paused_at),
                       (1, 'limited', a.limited_at, a.limited_at),
                       (1, 'deferred', a.deferred_at, a.deferred_at),
                       (2, 'prefetched', a.delivered_at, a.delivered_at),
                       (3, 'running', a.started_at, a.started_at),
                       (4, 'retry_wait', a.spent_at, a.spent_at),
                       (4, 'waiting', a.wait_began_at, a.wait_began_at),
                       (0, 'queue', a.wait_ended_at, a.wait_ended_at),
                       (0, 'queue', case when a.spent_at is not null then least(a.spent_at + a.delay, a.next_at) end,
                        null)
            ) instant (place, stretch, at, seen_at)
            where instant.at is not null
        ) told
        window in_order as (order by told.attempt, told.place, told.at, told.stretch)
    ) ordered
    window in_order as (order by ordered.attempt, ordered.place, ordered.at, ordered.stretch)
) one;

comment on column analytics.fct_task_stretches.stretch is 'dispatch, queue, eta, paused, limited, deferred, prefetched, running, waiting or retry_wait; not_known: all of a run with attempts from before migration 0043, until task_attempts is rebuilt.';

create or replace view analytics.fct_task_waits as
select r.run_id,
       r.task,
       r.tier,
       r.license_id,
       r.state,
       r.ended_at is not null as is_ended,
       r.accepted_by,
       r.accepted_at,
       r.ended_at,
       r.attempts             as attempt_count,
       split.*
from read_model.task_runs r
cross join lateral (
    select extract(epoch from greatest(coalesce(r.ended_at, now()), r.accepted_at) - r.accepted_at)::double precision
                                                                                       as total_seconds,
           coalesce(sum(seconds) filter (where stretch = 'dispatch'), min(nothing))    as dispatch_seconds,
           coalesce(sum(seconds) filter (where stretch = 'queue'), min(nothing))       as queue_seconds,
           coalesce(sum(seconds) filter (where stretch = 'prefetched'), min(nothing))  as prefetched_seconds,
           coalesce(sum(seconds) filter (where stretch = 'running'), min(nothing))     as running_seconds,
           coalesce(sum(seconds) filter (where stretch = 'retry_wait'), min(nothing))  as retry_wait_seconds,
           coalesce(sum(seconds) filter (where stretch = 'eta'), min(nothing))         as eta_seconds,
           coalesce(sum(seconds) filter (where stretch = 'paused'), min(nothing))      as paused_seconds,
           coalesce(sum(seconds) filter (where stretch = 'limited'), min(nothing))     as limited_seconds,
           coalesce(sum(seconds) filter (where stretch = 'deferred'), min(nothing))    as deferred_seconds,
           count(*) filter (where moved_seconds <> 0)                                  as moved_count,
           greatest(max(abs(moved_seconds)),
                    extract(epoch from r.accepted_at - r.ended_at)::double precision, 0) as most_moved_seconds,
           coalesce(r.trace_id, md5(r.correlation_id))                                 as trace_id,
           coalesce(sum(seconds) filter (where stretch = 'waiting'), min(nothing))     as waiting_seconds
    from (
        select *, case when stretch <> 'not_known' then 0 end as nothing  -- a part that a run of which it is known lacks
        from analytics.fct_task_stretches
    ) s
    where s.run_id = r.run_id
) split;
comment on view analytics.fct_task_waits is
    'One row per task run. How its time was spent: the ten parts add up to total_seconds; they are empty where that is not known: of runs with attempts from before migration 0043, until task_attempts is rebuilt. Join fct_task_runs and fct_task_stretches on run_id, dim_licenses on license_id. docs/waits.md says what each part is and which clocks it is read from.';
comment on column analytics.fct_task_waits.waiting_seconds is 'It waited for an event or a time, in no queue; of all attempts.';

create or replace function analytics.task_as_of(id text, at timestamptz default null, by text default 'occurred')
returns table (
    run_id text, task text, tier text, queue text, priority integer, state text, is_ended boolean,
    accepted_at timestamptz, accepted_by text, published_at timestamptz, first_started_at timestamptz,
    started_at timestamptz, ended_at timestamptz, attempt_count integer, runtime_seconds double precision,
    error_type text, error text, result text, license_id text, correlation_id text, trace_id text, worker text,
    recorded_at timestamptz
) language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with told as (
        -- What its attempt has no room for has a place of its own, from 2^33 on: holds, which come before its start, and
        -- the end of a wait, which comes after what the attempt came to.
        select case when story.version >= 8589934592 and story.version < 8589934592 + 8000008
                    then (story.version - 8589934592) / 8 * 8 + case when story.version % 8 = 3 then 3 else 0 end
                    else story.version end as slot,
               story.version, story.occurred_at, story.recorded_at, story.data, story.metadata,
               substr(story.name, length('task.') + 1) as what
        from event_store.story_as_of('tasks', 'task_run-' || id, at, by) story
        where story.name in (
            'task.requested', 'task.published', 'task.received', 'task.started', 'task.retry_scheduled', 'task.wait_began',
            'task.wait_satisfied', 'task.wait_timed_out', 'task.succeeded',
            'task.failed', 'task.timed_out', 'task.lost', 'task.rejected', 'task.revoked', 'task.expired',
            'task.dead_lettered', 'task.outcome_ignored', 'task.revocation_requested')
    ), first as (  -- a run is accepted by its request or, where nobody asked us, by the first thing seen
        select told.occurred_at, told.slot, told.metadata from told order by told.slot, told.occurred_at limit 1
    ), deciding as (  -- the highest slot up to the end (2^30); what comes after it counts only where nothing else does
        select told.what, told.occurred_at, told.data, told.what not in
                   ('requested', 'published', 'received', 'started', 'retry_scheduled', 'wait_began', 'wait_satisfied',
                    'wait_timed_out', 'outcome_ignored', 'revocation_requested') as is_end
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
               when 'wait_began' then 'waiting'
               when 'wait_satisfied' then 'retrying'
               when 'wait_timed_out' then 'retrying'
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
