-- What people ask of all workers. Every worker looks for it twice a second, so these rare events have an index each.

create index task_events_revocations on event_store.task_events (position) where name = 'task.revocation_requested';
create index licensing_events_flows on event_store.licensing_events (position)
    where name in ('flow.paused', 'flow.resumed', 'flow.limited', 'flow.limits_withdrawn');

-- Limits of tasks over all workers together. Not facts but bookkeeping: emptied, it fills again within one period.

create schema flow;
comment on schema flow is 'What workers keep together about limited tasks; nothing here is history.';

create table flow.limited_tasks (
    task      text        primary key,
    next_at   timestamptz not null default '-infinity',
    return_at timestamptz not null default '-infinity'
) with (fillfactor = 50);
comment on table flow.limited_tasks is 'One row per task with limits; its lock is what keeps workers from overtaking.';
comment on column flow.limited_tasks.next_at is
    'When the next beginning is due, were they evenly spaced (theoretical arrival time, ITU-T I.371).';
comment on column flow.limited_tasks.return_at is
    'When the last of those is to come back that were sent away because of the rate.';

create table flow.holders (
    holder      uuid        primary key,
    worker      text        not null,
    alive_until timestamptz not null
) with (fillfactor = 50);
comment on table flow.holders is 'One row per worker that runs tasks of limited concurrency; its leases end with it.';
comment on column flow.holders.alive_until is 'When its leases are anybody''s, unless it has been heard of by then.';

create table flow.leases (
    task     text        not null,
    key      text        not null,
    run_id   text        not null,
    holder   uuid        not null references flow.holders on delete cascade,
    taken_at timestamptz not null default clock_timestamp(),
    primary key (task, key, run_id)
);
create index leases_by_holder on flow.leases (holder);
comment on table flow.leases is 'One row per run of a task of limited concurrency that is being executed.';

-- For each run whether it may begin, and if not, why and when to ask again. Ask in order of tasks: each is locked.
create function flow.ask(
    asking uuid, lease interval, runs text[], tasks text[], intervals double precision[], bursts integer[],
    mosts integer[], keys text[]
) returns table (verdict text, wait_seconds double precision) language plpgsql as $$
declare
    asked record;
    row flow.limited_tasks;
    at timestamptz;
    free_at timestamptz;
    spacing interval;
begin
    for asked in
        select * from unnest(runs, tasks, intervals, bursts, mosts, keys) as a (run_id, task, seconds, burst, most, key)
    loop
        insert into flow.limited_tasks (task) values (asked.task) on conflict do nothing;
        select * into row from flow.limited_tasks t where t.task = asked.task for update;
        at := clock_timestamp();
        verdict := 'granted';
        wait_seconds := null;
        if asked.most is not null then
            -- A server that was away could not hear of anybody: it gives all holders a whole lease after its start.
            delete from flow.leases l using flow.holders h
            where l.task = asked.task and l.key = asked.key and h.holder = l.holder
                and greatest(h.alive_until, pg_postmaster_start_time() + lease) < at;
            if asked.most <= (
                select count(*) from flow.leases l
                where l.task = asked.task and l.key = asked.key and l.run_id <> asked.run_id
            ) then
                verdict := 'concurrency_limited';
            end if;
        end if;
        if verdict = 'granted' and asked.seconds is not null then
            spacing := make_interval(secs => asked.seconds);
            free_at := row.next_at - (asked.burst - 1) * spacing;
            if free_at > at then
                verdict := 'rate_limited';
                -- One after the other, so that they do not all come back for the one that is free next.
                row.return_at := greatest(free_at, row.return_at + spacing);
                if row.return_at > at + interval '600 s' then
                    row.return_at := at + interval '600 s';
                    wait_seconds := 600 * (0.5 + 0.5 * random());
                else
                    wait_seconds := extract(epoch from row.return_at - at);
                end if;
            else
                row.next_at := greatest(row.next_at, at) + spacing;
            end if;
            update flow.limited_tasks t set next_at = row.next_at, return_at = row.return_at where t.task = asked.task;
        end if;
        if verdict = 'granted' and asked.most is not null then
            insert into flow.leases (task, key, run_id, holder) values (asked.task, asked.key, asked.run_id, asking)
            on conflict (task, key, run_id) do update set holder = excluded.holder, taken_at = excluded.taken_at;
        end if;
        return next;
    end loop;
end $$;
comment on function flow.ask(
    uuid, interval, text[], text[], double precision[], integer[], integer[], text[]
) is 'Whether runs may begin: granted, rate_limited or concurrency_limited, and in how many seconds to ask again.';

-- A worker lives, and these are the leases it needs; what else it has of an age is left from a lost connection.
create function flow.stay(
    staying uuid, name text, lease interval, tasks text[], keys text[], runs text[]
) returns void language sql as $$
    insert into flow.holders (holder, worker, alive_until) values (staying, name, clock_timestamp() + lease)
    on conflict (holder) do update set alive_until = excluded.alive_until;
    insert into flow.leases (task, key, run_id, holder)
    select t, k, r, staying from unnest(tasks, keys, runs) as needed (t, k, r)
    on conflict do nothing;
    delete from flow.leases l
    where l.holder = staying and l.taken_at < clock_timestamp() - 3 * lease
        and not exists (
            select from unnest(tasks, keys, runs) as needed (t, k, r) where (t, k, r) = (l.task, l.key, l.run_id));
    delete from flow.holders where alive_until < clock_timestamp() - interval '1 day';
$$;
comment on function flow.stay(uuid, text, interval, text[], text[], text[]) is
    'Says that a worker lives and which leases it needs.';

-- Views.

alter table read_model.task_runs
    add column revocation_requested_at timestamptz,
    add column revocation_requested_by text,
    add column revocation_reason text;

create view analytics.fct_revocations as
select run_id,
       task,
       revocation_requested_at as requested_at,
       revocation_requested_by as requested_by,
       revocation_reason       as reason,
       state,
       ended_at,
       state = 'revoked'       as is_honored
from read_model.task_runs
where revocation_requested_at is not null;

comment on view analytics.fct_revocations is 'One row per task run that somebody asked to be revoked. Join fct_task_runs on run_id.';
comment on column analytics.fct_revocations.run_id is 'The run.';
comment on column analytics.fct_revocations.task is 'Name of the Celery task.';
comment on column analytics.fct_revocations.requested_at is 'When it was asked for.';
comment on column analytics.fct_revocations.requested_by is 'Who asked.';
comment on column analytics.fct_revocations.reason is 'Why.';
comment on column analytics.fct_revocations.state is 'Where the run is now, as in fct_task_runs; another end than revoked came before anybody heard of it.';
comment on column analytics.fct_revocations.ended_at is 'When it ended; empty while open.';
comment on column analytics.fct_revocations.is_honored is 'Whether the run ended as revoked.';

create view analytics.fct_flow_changes as
select data->>'kind'                                as kind,
       data->>'flow'                                as flow,
       split_part(name, '.', 2)                     as change,
       occurred_at                                  as changed_at,
       metadata->>'actor'                           as changed_by,
       data->>'reason'                              as reason,
       (data->>'rate_permits')::integer             as rate_permits,
       (data->>'rate_per_seconds')::double precision as rate_per_seconds,
       (data->>'concurrency_most')::integer         as concurrency_most,
       data->>'concurrency_key'                     as concurrency_key
from event_store.licensing_events
where name in ('flow.paused', 'flow.resumed', 'flow.limited', 'flow.limits_withdrawn');

comment on view analytics.fct_flow_changes is 'One row per pause, resumption or change of limits of a queue or a task.';
comment on column analytics.fct_flow_changes.kind is 'queue or task.';
comment on column analytics.fct_flow_changes.flow is 'Name of the queue or the task.';
comment on column analytics.fct_flow_changes.change is 'paused, resumed, limited (in place of what the task declares) or limits_withdrawn (as it declares again).';
comment on column analytics.fct_flow_changes.changed_at is 'When it was asked for; workers hear of it within about a second.';
comment on column analytics.fct_flow_changes.changed_by is 'Who asked.';
comment on column analytics.fct_flow_changes.reason is 'Why.';
comment on column analytics.fct_flow_changes.rate_permits is 'limited: how many may begin within rate_per_seconds, over all workers; empty: any number.';
comment on column analytics.fct_flow_changes.rate_per_seconds is 'limited: the period of the rate.';
comment on column analytics.fct_flow_changes.concurrency_most is 'limited: how many may run at once, over all workers; empty: any number.';
comment on column analytics.fct_flow_changes.concurrency_key is 'limited: the argument whose every value is limited by itself; empty: the task as a whole.';
