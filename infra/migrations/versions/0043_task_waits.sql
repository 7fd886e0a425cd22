-- Where each run was, and for how long. The instants come from several clocks: that of who asked, of dispatch, of the
-- workers. So an instant counts as no earlier than the ones before it and as no later than the end; a stretch is then
-- never negative and all of a run add up to its time. By how much an instant was moved is said.

set local lock_timeout = '10s';  -- who waits for a long query keeps all others waiting: rather be refused, and done again
alter table read_model.task_attempts
    add column delivered_at timestamptz,
    add column eta_held_at  timestamptz,
    add column paused_at    timestamptz,
    add column limited_at   timestamptz,
    add column deferred_at  timestamptz;

-- No row is written here: of attempts from before it is not known how they waited until task_attempts is rebuilt. Such an
-- attempt is told by its received_at, which is the earliest of these instants, and was there before they were.

-- Each instant begins a stretch that lasts until the next one. `place` is the order within an attempt; `seen_at` is what
-- was told, and empty where an instant follows from others (when a delay is over), which is no clock's fault.
create view analytics.fct_task_stretches as
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
                       (0, 'queue', case when a.spent_at is not null then least(a.spent_at + a.delay, a.next_at) end,
                        null)
            ) instant (place, stretch, at, seen_at)
            where instant.at is not null
        ) told
        window in_order as (order by told.attempt, told.place, told.at, told.stretch)
    ) ordered
    window in_order as (order by ordered.attempt, ordered.place, ordered.at, ordered.stretch)
) one;

comment on view analytics.fct_task_stretches is
    'One row per stretch of a task run''s time: where it was from one instant to the next; those of a run follow one another without holes, from its acceptance to its end or, while it is open, to the present. Join fct_task_runs on run_id, dim_licenses on license_id. docs/waits.md says what each stretch is and which clocks it is read from.';
comment on column analytics.fct_task_stretches.run_id is 'The run.';
comment on column analytics.fct_task_stretches.task is 'Name of the Celery task.';
comment on column analytics.fct_task_stretches.tier is 'critical, high, normal or low; empty where the run used a queue of no tier.';
comment on column analytics.fct_task_stretches.license_id is 'The license whose business it is, if any.';
comment on column analytics.fct_task_stretches.state is 'Where the run is now, as in fct_task_runs.';
comment on column analytics.fct_task_stretches.is_ended is 'Whether its one end is recorded.';
comment on column analytics.fct_task_stretches.accepted_at is 'When it was accepted.';
comment on column analytics.fct_task_stretches.attempt is 'The attempt that it belongs to, from 1: the one that runs, waits to run, or (retry_wait) came to nothing.';
comment on column analytics.fct_task_stretches.stretch is 'dispatch, queue, eta, paused, limited, deferred, prefetched, running or retry_wait; not_known: all of a run with attempts from before migration 0043, until task_attempts is rebuilt.';
comment on column analytics.fct_task_stretches.began_at is 'When it began: as it was told or, where that lies before what came first or after the end, moved.';
comment on column analytics.fct_task_stretches.ended_at is 'When the next one began or the run ended; the present where neither has happened.';
comment on column analytics.fct_task_stretches.seconds is 'How long it is; never negative.';
comment on column analytics.fct_task_stretches.moved_seconds is 'By how much its beginning was moved later (or earlier, if negative), because clocks differ; 0: as it was told.';

create view analytics.fct_task_waits as
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
           coalesce(r.trace_id, md5(r.correlation_id))                                 as trace_id
    from (
        select *, case when stretch <> 'not_known' then 0 end as nothing  -- a part that a run of which it is known lacks
        from analytics.fct_task_stretches
    ) s
    where s.run_id = r.run_id
) split;
comment on view analytics.fct_task_waits is
    'One row per task run. How its time was spent: the nine parts add up to total_seconds; they are empty where that is not known: of runs with attempts from before migration 0043, until task_attempts is rebuilt. Join fct_task_runs and fct_task_stretches on run_id, dim_licenses on license_id. docs/waits.md says what each part is and which clocks it is read from.';
comment on column analytics.fct_task_waits.run_id is 'The run.';
comment on column analytics.fct_task_waits.task is 'Name of the Celery task.';
comment on column analytics.fct_task_waits.tier is 'critical, high, normal or low; empty where the run used a queue of no tier.';
comment on column analytics.fct_task_waits.license_id is 'The license whose business it is, if any.';
comment on column analytics.fct_task_waits.state is 'Where the run is now, as in fct_task_runs.';
comment on column analytics.fct_task_waits.is_ended is 'Whether its one end is recorded; if not, the present counts as the end.';
comment on column analytics.fct_task_waits.accepted_by is 'requested: the platform was asked for it. observed: a worker met a call that did not come from us; it has no dispatch, and no queue before its first attempt.';
comment on column analytics.fct_task_waits.accepted_at is 'When it was accepted.';
comment on column analytics.fct_task_waits.ended_at is 'When it ended; empty while open.';
comment on column analytics.fct_task_waits.attempt_count is 'Attempts so far.';
comment on column analytics.fct_task_waits.total_seconds is 'From acceptance to end; 0 where the end''s clock says that it came before.';
comment on column analytics.fct_task_waits.dispatch_seconds is 'In the log, until the broker held it: a policy or dispatch was behind, or the tier''s queue was full.';
comment on column analytics.fct_task_waits.queue_seconds is 'In its queue, until a worker had it in hand; of all attempts, and also while the queue is paused.';
comment on column analytics.fct_task_waits.prefetched_seconds is 'In a worker''s hands, until a child began; of all attempts.';
comment on column analytics.fct_task_waits.running_seconds is 'Executed by a child; of all attempts, and until somebody noticed that it had died.';
comment on column analytics.fct_task_waits.retry_wait_seconds is 'In the delay ladder after an attempt that came to nothing or snoozed, as long as that was to be.';
comment on column analytics.fct_task_waits.eta_seconds is 'Held until the time that its sender had set (eta, countdown).';
comment on column analytics.fct_task_waits.paused_seconds is 'Held because its task is paused.';
comment on column analytics.fct_task_waits.limited_seconds is 'Held because of its task''s limits, or because nobody could say how they stand.';
comment on column analytics.fct_task_waits.deferred_seconds is 'Held because of the license that it names, or because nobody could say how that stands.';
comment on column analytics.fct_task_waits.moved_count is 'How many of its instants were moved because clocks differ; its parts are the less exact for it.';
comment on column analytics.fct_task_waits.most_moved_seconds is 'The longest of those moves, or by how much the end came before the acceptance.';
comment on column analytics.fct_task_waits.trace_id is 'Its trace (W3C Trace Context); `ledgerq trace show` prints it.';
