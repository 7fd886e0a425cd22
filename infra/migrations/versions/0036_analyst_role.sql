-- Who asks in SQL logs in as ledgerq_analyst (docs/analytics.md). A role belongs to the server and not to one database,
-- so another database's migration may have made it, or be making it at this moment.

create function analytics.admit_analysts() returns text language plpgsql as $$
begin
    if not exists (select from pg_roles where rolname = 'ledgerq_analyst') then
        begin
            -- No password: until an administrator gives one, a server that asks for passwords lets nobody in.
            create role ledgerq_analyst login nosuperuser nocreatedb nocreaterole noinherit connection limit 10;
            comment on role ledgerq_analyst is 'Reads schema analytics of Ledgerq.';
            alter role ledgerq_analyst set default_transaction_read_only = on;
            alter role ledgerq_analyst set statement_timeout = '60s';
            alter role ledgerq_analyst set lock_timeout = '5s';
            alter role ledgerq_analyst set idle_in_transaction_session_timeout = '60s';
            alter role ledgerq_analyst set work_mem = '32MB';
            alter role ledgerq_analyst set search_path = analytics;
            alter role ledgerq_analyst set timezone = 'UTC';
        exception
            when duplicate_object or unique_violation then
                null;  -- somebody else was quicker
            when insufficient_privilege then
                return 'no role: whoever migrates may not create roles; let an administrator: create role ledgerq_analyst login connection limit 10; set its limits as docs/analytics.md has them; then: select analytics.admit_analysts();';
        end;
        begin
            -- Only a superuser may; who is bound by it cannot lift it.
            alter role ledgerq_analyst set temp_file_limit = '4GB';
        exception when insufficient_privilege or undefined_object then
            null;
        end;
    end if;
    grant usage on schema analytics to ledgerq_analyst;
    grant select on all tables in schema analytics to ledgerq_analyst;
    grant execute on all functions in schema analytics to ledgerq_analyst;
    revoke execute on function analytics.admit_analysts() from ledgerq_analyst;
    alter default privileges in schema analytics grant select on tables to ledgerq_analyst;
    alter default privileges in schema analytics grant execute on functions to ledgerq_analyst;
    return 'ledgerq_analyst reads schema analytics';
end $$;
comment on function analytics.admit_analysts() is
    'Makes the role ledgerq_analyst where there is none and lets it read schema analytics; to be called by the owner.';
revoke execute on function analytics.admit_analysts() from public;

do $$
begin
    raise notice '%', analytics.admit_analysts();
end $$;

-- A view asks its tables as its owner but calls functions as whoever asks the view: these read the logs for
-- meta_freshness. What they tell is one number.
alter function event_store.licensing_events_safe_position() security definer set search_path = pg_catalog, pg_temp;
alter function event_store.task_events_safe_position() security definer set search_path = pg_catalog, pg_temp;
alter function event_store.heartbeat_events_safe_position() security definer set search_path = pg_catalog, pg_temp;

-- So does this one read the log; its names are qualified, and its path is fixed.
alter function analytics.heartbeats_of(text, timestamptz, timestamptz)
    security definer set search_path = pg_catalog, pg_temp;
revoke execute on function analytics.heartbeats_of(text, timestamptz, timestamptz) from public;
