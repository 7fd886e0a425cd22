-- What a client asks for by a group's id: the members that whoever sent it has saved, or that a chord was declared with.

create view results.groups as
select event.stream_id,
       event.data -> 'result'  as result,
       event.data -> 'members' as members
from event_store.task_events as event
where event.name in ('group.saved', 'fan_in.declared')
  and event.version = 1;
comment on view results.groups is 'One row per group that was saved, and per chord.';
comment on column results.groups.stream_id is 'group-<id> or fan_in-<id>, by Celery''s id of the group.';
comment on column results.groups.result is 'Of a group that was saved: its id and parent, and its members alike, as Celery has it.';
comment on column results.groups.members is 'Of a chord: of each member the runs of its links, in order; the last one''s value counts.';

create or replace function results.admit_clients() returns text language plpgsql as $$
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
    grant select on results.outcomes, results.groups to ledgerq_client;
    return 'ledgerq_client reads results.outcomes and results.groups';
end $$;
comment on function results.admit_clients() is
    'Makes the role ledgerq_client where there is none and lets it read results.outcomes and results.groups; to be called by the owner.';

do $$
begin
    raise notice '%', results.admit_clients();
end $$;
