-- Runs that waited while a less urgent one of their queue began. For each run a probe of the index per lower priority, of
-- which a queue has ten at most: counting all that passed it would grow with the square of a backlog.

create index task_runs_first_starts on read_model.task_runs (queue, priority, first_started_at)
    where first_started_at is not null;

create view analytics.fct_priority_inversions as
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
                                as inverted_seconds
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

comment on view analytics.fct_priority_inversions is
    'One row per task run that waited in its queue while a run of lower priority was handed to a worker of that queue and began; with the first such run. Of first attempts, and until a worker first had the run in hand: retries and held runs wait elsewhere. Runs whose message was published once more (raised, repaired) are left out. Join fct_task_runs on run_id and on lower_run_id. Among those that began after it was published, a run is compared with the first 64 of each priority.';
comment on column analytics.fct_priority_inversions.run_id is 'The run that waited.';
comment on column analytics.fct_priority_inversions.task is 'Name of its Celery task.';
comment on column analytics.fct_priority_inversions.queue is 'The broker''s queue of both.';
comment on column analytics.fct_priority_inversions.priority is 'Its priority.';
comment on column analytics.fct_priority_inversions.published_at is 'From when on it waited: the broker confirmed that it holds it.';
comment on column analytics.fct_priority_inversions.first_started_at is 'When it began; empty while it waits, and where it ended without.';
comment on column analytics.fct_priority_inversions.lower_run_id is 'The first run of lower priority that began meanwhile.';
comment on column analytics.fct_priority_inversions.lower_task is 'Name of that run''s Celery task.';
comment on column analytics.fct_priority_inversions.lower_priority is 'That run''s priority.';
comment on column analytics.fct_priority_inversions.lower_received_at is 'When a worker received it: after published_at, so the broker or the worker had the choice.';
comment on column analytics.fct_priority_inversions.lower_started_at is 'When it began.';
comment on column analytics.fct_priority_inversions.inverted_seconds is 'How long after that the run still waited; up to now while it waits.';
