-- Stories of several runs, and the places that runs were planned to have in them (docs/workflows.md).

create table read_model.workflows (
    workflow_id  text primary key,
    began_at     timestamptz,
    first_task   text,
    first_at     timestamptz,
    first_by     text,
    lowest_run   text,
    highest_run  text,
    has_chain    boolean not null,
    has_fan_in   boolean not null,
    has_group    boolean not null,
    has_bad_end  boolean not null,
    forked_from  text,
    forked_step  integer,
    is_workflow  boolean generated always as (
        has_chain or has_fan_in or has_group or forked_from is not null or coalesce(lowest_run <> highest_run, false)) stored
) with (fillfactor = 80);
comment on table read_model.workflows is 'One row per story; is_workflow says which have several runs, or a plan.';
create index workflows_by_time on read_model.workflows (began_at, workflow_id) where is_workflow;
create index workflows_by_fork on read_model.workflows (forked_from) where forked_from is not null;

create table read_model.workflow_steps (
    run_id       text primary key,
    workflow_id  text,
    planned_at   timestamptz,
    task         text,
    chain_id     text,
    chain_step   integer,
    grouped_at   timestamptz,
    group_id     text,
    member       integer,
    link         integer,
    branch       integer,
    body_of      text,
    body_link    integer,
    wanted       integer
);
comment on table read_model.workflow_steps is 'One row per run that a chain, a fan-in or a saved group planned.';
create index workflow_steps_by_workflow on read_model.workflow_steps (workflow_id);

insert into read_model.followed_logs (projection, log) values ('workflows', 'tasks'), ('workflow_steps', 'tasks');

-- Runs that nobody planned are found by the log's index of correlation ids: one of the read model's own would cost every
-- run. A window's partitions all have the story, so that whoever asks for one story reads no other.
create view analytics.fct_workflow_steps as
select known.workflow_id,
       known.run_id,
       case when known.body_of is not null then 'body'
            when known.group_id is not null then 'member'
            when known.chain_id is not null then 'link'
            else 'run' end                                                          as role,
       known.task,
       case when known.state is not null then known.state
            when known.is_behind then 'not_reached'
            else 'planned' end                                                      as state,
       known.ended_at is not null                                                   as is_ended,
       known.is_replayed,
       known.chain_id,
       known.chain_step,
       known.group_id,
       known.member                                                                 as member_number,
       known.link                                                                   as link_number,
       known.body_of,
       known.body_link                                                              as body_number,
       known.wanted                                                                 as wanted_count,
       known.accepted_at,
       known.accepted_by,
       known.started_at,
       known.ended_at,
       known.attempt_count,
       extract(epoch from coalesce(known.ended_at, now()) - known.accepted_at)::double precision as total_seconds,
       (select sum(coalesce(a.runtime_seconds, extract(epoch from a.ended_at - a.started_at)::double precision))
        from read_model.task_attempts a
        where a.run_id = known.run_id and a.started_at is not null)                 as executed_seconds,
       known.error_type,
       known.error,
       coalesce(
           (select came.run_id from read_model.replayed_runs came where came.new_run_id = known.run_id limit 1),
           (select parent.run_id
            from read_model.task_runs parent
            where parent.run_id = (
                select first.metadata ->> 'causation_id'
                from event_store.task_events first
                where first.stream_id = 'task_run-' || known.run_id
                order by first.version
                limit 1)))                                                          as parent_run_id,
       known.license_id
from (
    select placed.*,
           coalesce(chain_id is not null and bool_or(is_bad and group_id is null) over (
               partition by workflow_id, chain_id order by chain_step range between unbounded preceding and 1 preceding), false)
           or coalesce(group_id is not null and bool_or(is_bad) over (
               partition by workflow_id, group_id, branch order by link range between unbounded preceding and 1 preceding), false)
           or coalesce(body_of is not null and bool_or(is_bad) over (
               partition by workflow_id, body_of order by body_link range between unbounded preceding and 1 preceding), false)
               as is_behind
    from (
        select planned.workflow_id, planned.run_id, planned.chain_id, planned.chain_step, planned.group_id, planned.member,
               planned.link, planned.branch, planned.body_of, planned.body_link, planned.wanted,
               coalesce(run.task, planned.task) as task, run.state, run.accepted_at, run.accepted_by,
               run.first_started_at as started_at, run.ended_at, run.attempts as attempt_count, run.error_type, run.error,
               run.license_id,
               coalesce(letter.decision = 'replayed', false) as is_replayed,
               run.ended_at is not null and run.state <> 'succeeded' and case
                   when letter.decision = 'replayed' then exists (  -- what was put in its place at last ended badly, too
                       with recursive again (run_id) as (
                           select letter.new_run_id
                           union
                           select died.new_run_id
                           from again
                           join read_model.dead_letters died using (run_id)
                           where died.decision = 'replayed'
                       )
                       select
                       from again
                       join read_model.task_runs last using (run_id)
                       left join read_model.dead_letters died using (run_id)
                       where last.ended_at is not null and last.state <> 'succeeded'
                         and died.decision is distinct from 'replayed')
                   else true end as is_bad
        from (
            select workflow_id, run_id, task, chain_id, chain_step, group_id, member, link, branch, body_of, body_link, wanted
            from read_model.workflow_steps
            union all
            select story.workflow_id, told.run_id, null, null, null, null, null, null, null, null, null, null
            from read_model.workflows story
            cross join lateral (
                -- Somebody may give all they ever do one correlation id; a list is to be there all the same.
                select distinct substr(first.stream_id, length('task_run-') + 1) as run_id
                from (
                    select event.stream_id
                    from event_store.task_events event
                    where event.metadata ->> 'correlation_id' = story.workflow_id
                    order by event.position
                    limit 50000
                ) first
                where first.stream_id like 'task\_run-%'
            ) told
            where story.is_workflow
              and not exists (select from read_model.workflow_steps step where step.run_id = told.run_id)
              and exists (
                  select from read_model.task_runs own
                  where own.run_id = told.run_id and own.correlation_id = story.workflow_id)
        ) planned
        left join read_model.task_runs run on run.run_id = planned.run_id
        left join read_model.dead_letters letter on letter.run_id = planned.run_id
    ) placed
) known;

create view analytics.fct_workflows as
select story.workflow_id,
       case when story.has_chain and story.has_fan_in then 'mixed'
            when story.has_fan_in then 'chord'
            when story.has_chain then 'chain'
            when told.is_group then 'group'
            else 'runs' end                                                         as kind,
       story.first_task,
       told.state,
       told.state in ('succeeded', 'failed', 'revoked')                             as is_ended,
       story.began_at,
       case when told.state in ('succeeded', 'failed', 'revoked') then told.last_ended_at end as ended_at,
       told.step_count,
       told.ended_count,
       told.failed_count,
       told.not_reached_count,
       extract(epoch from case when told.state in ('succeeded', 'failed', 'revoked') then told.last_ended_at else now() end
               - story.began_at)::double precision                                  as total_seconds,
       told.executed_seconds,
       told.license_id,
       story.forked_from,
       story.forked_step                                                            as forked_from_step
from read_model.workflows story
cross join lateral (
    with steps as materialized (
        select run_id, role, state, is_ended, is_replayed, group_id, body_of, accepted_at, accepted_by, started_at, ended_at,
               executed_seconds, license_id,
               -- Of a body that was never asked for: how it ended follows from what became of the members.
               body_of is not null and is_ended and accepted_by = 'observed' and started_at is null as is_never_asked_for
        from analytics.fct_workflow_steps
        where workflow_id = story.workflow_id
    ), completed as (
        select coalesce(array_agg(distinct body_of), '{}') as fan_ins
        from steps
        where body_of is not null and accepted_at is not null and not is_never_asked_for
    ), counted as (
        select count(*)                                                         as step_count,
               count(*) filter (where is_ended)                                 as ended_count,
               count(*) filter (where is_ended and state <> 'succeeded')        as failed_count,
               count(*) filter (where state = 'not_reached')                    as not_reached_count,
               count(*) filter (where state = 'planned')                        as planned,
               count(*) filter (where accepted_at is not null and not is_ended) as open,
               count(*) filter (where state = 'waiting')                        as waiting,
               -- A member that its fan-in could do without, or that was replayed, decides nothing.
               count(*) filter (where is_bad)                                   as bad,
               count(*) filter (where is_bad and (state = 'revoked' or not is_never_asked_for)) as bad_itself,
               count(*) filter (where is_bad and state = 'revoked')             as revoked,
               max(ended_at)                                                    as last_ended_at,
               sum(executed_seconds)                                            as executed_seconds,
               min(license_id)                                                  as license_id,
               bool_and(role = 'member' or (accepted_by = 'observed' and run_id <> story.workflow_id and role = 'run')) as is_group
        from (
            select steps.*,
                   is_ended and state <> 'succeeded' and not is_replayed
                   and not coalesce(group_id = any(fan_ins), false) as is_bad
            from steps, completed
        ) judged
    )
    select counted.*,
           case when open > 0 and waiting = open then 'waiting'
                when open > 0 or planned > 0 then 'running'
                when bad_itself > 0 and revoked = bad_itself then 'revoked'
                when bad > 0 then 'failed'
                else 'succeeded' end as state
    from counted
) told
where story.is_workflow and told.step_count > 0;  -- all of its runs may have been planned in another story

comment on view analytics.fct_workflows is
    'One row per story of several runs, or with a recorded chain or fan-in: a chain, a group or a chord as a whole. Of runs that nobody planned those count of which the first 50,000 events of the story tell. Join fct_workflow_steps on workflow_id, dim_licenses on license_id. docs/workflows.md says what belongs to a story.';
comment on column analytics.fct_workflows.workflow_id is 'The story: the correlation id of its runs.';
comment on column analytics.fct_workflows.kind is 'chain; chord; mixed: both; group: members of one that was saved, or calls of a Celery client under an id that is none of theirs; runs: several runs of which no plan is recorded, as those that a task sent, or a replay.';
comment on column analytics.fct_workflows.first_task is 'Name of the task that began first; empty before any has.';
comment on column analytics.fct_workflows.state is 'running; waiting: all open runs wait for an event or a time; succeeded; failed; revoked: nothing ended badly but by revocation. A member that its fan-in could do without, and a run that was replayed, count as no failure.';
comment on column analytics.fct_workflows.is_ended is 'Whether it succeeded, failed or was revoked. A replay or another task of the story opens it again.';
comment on column analytics.fct_workflows.began_at is 'When the first thing of it was told: that a run was asked for or started, or that its members would be sent.';
comment on column analytics.fct_workflows.ended_at is 'When the last of its runs ended; empty before.';
comment on column analytics.fct_workflows.step_count is 'Runs that were planned or accepted. Members of a chord within a chain are known once it is reached, where they are more than tasks and chains of tasks.';
comment on column analytics.fct_workflows.ended_count is 'Those that have ended, however.';
comment on column analytics.fct_workflows.failed_count is 'Those that ended otherwise than well.';
comment on column analytics.fct_workflows.not_reached_count is 'Those that come after one that ended otherwise than well, and so are never asked for.';
comment on column analytics.fct_workflows.total_seconds is 'From its beginning to its end or, while it is open, to the present.';
comment on column analytics.fct_workflows.executed_seconds is 'How long its runs were executed, of all attempts that have ended; empty where none has.';
comment on column analytics.fct_workflows.license_id is 'The license whose business it is; of several the first by name.';
comment on column analytics.fct_workflows.forked_from is 'Of a fork, what it was forked from: the first run of that chain, or its fan-in.';
comment on column analytics.fct_workflows.forked_from_step is 'Of a fork, the step that it begins with, from 1.';

comment on view analytics.fct_workflow_steps is
    'One row per step of a workflow: a run that was planned or accepted. Join fct_workflows on workflow_id, fct_task_runs on run_id and on parent_run_id, dim_licenses on license_id.';
comment on column analytics.fct_workflow_steps.workflow_id is 'The story that it belongs to.';
comment on column analytics.fct_workflow_steps.run_id is 'The run; fct_task_runs has it once it is accepted.';
comment on column analytics.fct_workflow_steps.role is 'body: what is asked for once enough members of a fan-in have succeeded; member: of a group or chord; link: of a chain; run: nobody planned it.';
comment on column analytics.fct_workflow_steps.task is 'Name of the Celery task; empty where only its run is known.';
comment on column analytics.fct_workflow_steps.state is 'As in fct_task_runs; planned: not accepted yet; not_reached: it comes after one that ended otherwise than well, and so is never asked for.';
comment on column analytics.fct_workflow_steps.is_ended is 'Whether its one end is recorded.';
comment on column analytics.fct_workflow_steps.is_replayed is 'Whether it died and another run was put in its place.';
comment on column analytics.fct_workflow_steps.chain_id is 'First run of the chain that it is a step of; empty: of none.';
comment on column analytics.fct_workflow_steps.chain_step is 'Which step of that chain, from 1; members and body of a chord that is a link have that link''s.';
comment on column analytics.fct_workflow_steps.group_id is 'The group that it is a member of, by Celery''s id; a chord''s is that of its fan-in.';
comment on column analytics.fct_workflow_steps.member_number is 'Which member of that group, from 1.';
comment on column analytics.fct_workflow_steps.link_number is 'Which link of that member, from 1; 1 where it is one task.';
comment on column analytics.fct_workflow_steps.body_of is 'The fan-in that asks for it.';
comment on column analytics.fct_workflow_steps.body_number is 'Which task of the fan-in''s body, from 1.';
comment on column analytics.fct_workflow_steps.wanted_count is 'Of a body: how many members have to succeed; empty: all.';
comment on column analytics.fct_workflow_steps.accepted_at is 'When it was accepted; empty before.';
comment on column analytics.fct_workflow_steps.accepted_by is 'requested: the platform was asked for it. observed: a worker met a call that did not come from us.';
comment on column analytics.fct_workflow_steps.started_at is 'When its first attempt to start did.';
comment on column analytics.fct_workflow_steps.ended_at is 'When it ended; empty while open.';
comment on column analytics.fct_workflow_steps.attempt_count is 'Attempts so far; empty before it is accepted.';
comment on column analytics.fct_workflow_steps.total_seconds is 'From its acceptance to its end or, while it is open, to the present.';
comment on column analytics.fct_workflow_steps.executed_seconds is 'How long it was executed, of all attempts that have ended; empty where none has.';
comment on column analytics.fct_workflow_steps.error_type is 'Class of the error it ended with or is being retried for.';
comment on column analytics.fct_workflow_steps.error is 'Text of that error.';
comment on column analytics.fct_workflow_steps.parent_run_id is 'The run that sent it, or in whose place it was replayed; empty where that is no run.';
comment on column analytics.fct_workflow_steps.license_id is 'The license whose business it is, if any.';
