-- What a client asks for by run id. The fact that a run succeeded, and the beginning of its value, is in the log for
-- ever; a value that is too long for that is kept here, for a time.

create schema results;
comment on schema results is 'What clients of tasks may ask for: outcomes of runs by id (docs/results.md).';

create table results.payloads (
    run_id    text        primary key,
    stored_at timestamptz not null default clock_timestamp(),
    encoding  text        not null check (encoding in ('identity', 'zlib')),
    body      bytea       not null
);
alter table results.payloads alter column body set storage external;  -- it is compressed already, where it is to be
create index payloads_stored on results.payloads (stored_at);
comment on table results.payloads is 'One row per run whose value was too long for the log, until its time is up.';
comment on column results.payloads.run_id is 'The run that returned it.';
comment on column results.payloads.stored_at is 'When its end was recorded; from then on its time runs.';
comment on column results.payloads.encoding is 'identity: body is JSON text in UTF-8; zlib: the same, compressed (RFC 1950).';
comment on column results.payloads.body is 'The value.';

create view results.outcomes as
select run.run_id,
       run.task,
       run.queue,
       run.worker,
       run.state,
       run.attempt_count,
       run.accepted_at,
       run.ended_at,
       run.result,
       run.error_type,
       run.error,
       (select ended.data ->> 'traceback'
        from event_store.task_events as ended
        where run.error_type is not null
          and ended.stream_id = 'task_run-' || run.run_id
          and ended.version = 1073741824) as traceback,
       payload.stored_at                  as payload_stored_at,
       payload.encoding                   as payload_encoding,
       payload.body                       as payload
from analytics.fct_task_runs as run
left join results.payloads as payload using (run_id);
comment on view results.outcomes is 'One row per run, as far as the read model has come.';
comment on column results.outcomes.result is 'Its value as JSON text, cut after 2000 characters.';
comment on column results.outcomes.traceback is 'Of the error that the run ended with.';
comment on column results.outcomes.payload is 'The whole value where result is cut, while it is kept.';

create function results.admit_clients() returns text language plpgsql as $$
begin
    if not exists (select from pg_roles where rolname = 'ledgerq_client') then
        begin
            -- No password: until an administrator gives one, a server that asks for passwords lets nobody in.
            create role ledgerq_client login nosuperuser nocreatedb nocreaterole noinherit;
            comment on role ledgerq_client is 'Reads outcomes of runs of Ledgerq (AsyncResult).';
            alter role ledgerq_client set default_transaction_read_only = on;
            alter role ledgerq_client set statement_timeout = '10s';
            alter role ledgerq_client set timezone = 'UTC';
        exception
            when duplicate_object or unique_violation then
                null;  -- somebody else was quicker
            when insufficient_privilege then
                return 'no role: whoever migrates may not create roles; let an administrator: create role ledgerq_client login; then: select results.admit_clients();';
        end;
    end if;
    grant usage on schema results to ledgerq_client;
    grant select on results.outcomes to ledgerq_client;
    return 'ledgerq_client reads results.outcomes';
end $$;
comment on function results.admit_clients() is
    'Makes the role ledgerq_client where there is none and lets it read results.outcomes; to be called by the owner.';
revoke execute on function results.admit_clients() from public;

do $$
begin
    raise notice '%', results.admit_clients();
end $$;
