-- As of an instant, from the log itself: what `ledgerq license show --as-of` answers, for whoever asks in SQL. Analysts may
-- not read the log, so these run as their owner; their rules are those of the projections, and a property test compares.

create function event_store.story_as_of(log text, stream text, at timestamptz, by text)
returns table (version bigint, name text, occurred_at timestamptz, recorded_at timestamptz, data jsonb, metadata jsonb)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if by is null or by not in ('occurred', 'recorded') then
        raise exception 'by says which time counts: occurred or recorded, not %', coalesce(by, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    return query
        select told.version, told.name, told.occurred_at, told.recorded_at, told.data, told.metadata
        from (
            select e.position, e.version, e.name, e.occurred_at, e.recorded_at, e.data, e.metadata
            from event_store.licensing_events e
            where log = 'licensing' and e.stream_id = stream
            union all
            select e.position, e.version, e.name, e.occurred_at, e.recorded_at, e.data, e.metadata
            from event_store.task_events e
            where log = 'tasks' and e.stream_id = stream
        ) told
        where (at is null or case by when 'occurred' then told.occurred_at else told.recorded_at end <= at)
            -- What is skipped was never true; that it is skipped was known from when that was recorded on.
            and not exists (
                select from event_store.licensing_events skip
                where skip.name = 'event.skipped'
                    and skip.data->>'log' = log and (skip.data->>'position')::bigint = told.position
                    and (at is null or by = 'occurred' or skip.recorded_at <= at)
                    and not exists (  -- and so it is with the word that takes it back
                        select from event_store.licensing_events undone
                        where undone.stream_id = skip.stream_id and undone.version = skip.version + 1
                            and (at is null or by = 'occurred' or undone.recorded_at <= at)))
        order by told.version;
end $$;
comment on function event_store.story_as_of(text, text, timestamptz, text) is
    'The events of a stream that had occurred, or were recorded, by an instant, in order of version; null: all that is known. Without those that are skipped.';
revoke execute on function event_store.story_as_of(text, text, timestamptz, text) from public;

create function analytics.session_as_of(id text, at timestamptz default null, by text default 'occurred')
returns table (
    session_id text, license_id text, state text, is_open boolean, host text, started_at timestamptz,
    patience_seconds double precision, ended_at timestamptz, end_reason text, lapse_count integer,
    lapse_judged_at timestamptz, resumed_at timestamptz
) language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    event record;
    on_lapse text;
begin
    session_id := id;
    lapse_count := 0;
    for event in select * from event_store.story_as_of('licensing', 'session-' || id, at, by) loop
        case event.name
            when 'session.started' then
                license_id := event.data->>'license_id';
                host := event.data->>'host';
                patience_seconds := coalesce(event.data->'rules'->>'patience_seconds', event.data->>'patience_seconds');
                on_lapse := coalesce(event.data->'rules'->>'on_lapse', 'end');
                started_at := event.occurred_at;
                state := 'active';
            when 'session.ended' then
                state := 'ended';
                ended_at := event.occurred_at;
                end_reason := event.data->>'reason';
            when 'session.lapsed' then
                state := 'lapsed';
                ended_at := case when on_lapse is distinct from 'keep' then event.occurred_at end;
                lapse_judged_at := event.data->>'judged_at';
                lapse_count := lapse_count + 1;
            when 'session.resumed' then
                state := 'active';
                ended_at := null;
                resumed_at := event.occurred_at;
            else
                continue;
        end case;
    end loop;
    if state is not null then
        is_open := state = 'active';
        return next;
    end if;
end $$;
comment on function analytics.session_as_of(text, timestamptz, text) is
    'The session as it was at an instant: no row where there was none. by: occurred (what was true then, by all that is known now) or recorded (what was known then). Columns as in fct_sessions; heartbeats are not counted. at null: all that is known.';

create function analytics.license_as_of(id text, at timestamptz default null, by text default 'occurred')
returns table (
    license_id text, state text, state_reason text, state_changed_at timestamptz, is_active boolean,
    is_suspended boolean, is_admitting boolean, holder text, has_holder_email boolean, seats integer,
    issued_at timestamptz, term_began_at timestamptz, valid_until timestamptz, renewal_count integer,
    notice_count integer, last_notice_sent_at timestamptz, policy text, heartbeat_interval_seconds double precision,
    patience_seconds double precision, monitoring_starts text, on_lapse text, resurrection text, expiry text,
    overage text, entitlements text
) language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    event record;
    rules jsonb;
    suspended_because text;
begin
    license_id := id;
    renewal_count := 0;
    notice_count := 0;
    is_suspended := false;
    has_holder_email := false;
    for event in select * from event_store.story_as_of('licensing', 'license-' || id, at, by) loop
        if event.name in ('license.issued', 'license.renewed') then
            term_began_at := event.occurred_at;
            valid_until := event.data->>'valid_until';
        end if;
        if event.name in ('license.issued', 'license.transferred') then
            holder := event.data->>'holder';
            has_holder_email := event.data->>'holder_email' is not null;
        end if;
        if event.name in ('license.issued', 'license.seats_changed') then
            seats := event.data->>'seats';
        end if;
        if event.name in ('license.entitlement_attached', 'license.entitlement_detached') then
            select nullif(string_agg(name, ',' order by place), '') into entitlements
            from jsonb_array_elements_text(event.data->'entitlements') with ordinality as each (name, place);
        end if;
        if event.name in ('license.issued', 'license.policy_changed') then
            -- The first version of license.issued said its patience and no other rule.
            rules := coalesce(event.data->'policy', jsonb_build_object('patience_seconds', event.data->'patience_seconds'));
            policy := coalesce(rules->>'name', 'default');
            heartbeat_interval_seconds := coalesce(rules->>'heartbeat_interval_seconds', '60');
            patience_seconds := rules->>'patience_seconds';
            monitoring_starts := coalesce(rules->>'monitoring_starts', 'creation');
            on_lapse := coalesce(rules->>'on_lapse', 'end');
            resurrection := coalesce(rules->>'resurrection', '10_minutes');
            expiry := coalesce(rules->>'expiry', 'restrict');
            overage := coalesce(rules->>'overage', 'none');
        end if;
        case event.name
            when 'license.issued' then
                issued_at := event.occurred_at;
                state := 'active';
                state_reason := event.data->>'reason';
                state_changed_at := event.occurred_at;
            when 'license.renewed' then
                renewal_count := renewal_count + 1;
                if state = 'expired' then
                    state := case when is_suspended then 'suspended' else 'active' end;
                    state_reason := suspended_because;
                    state_changed_at := event.occurred_at;
                end if;
            when 'license.suspended' then
                is_suspended := true;
                suspended_because := event.data->>'reason';
                if state = 'active' then  -- an expired license stays so whatever becomes of its suspension
                    state := 'suspended';
                    state_reason := suspended_because;
                    state_changed_at := event.occurred_at;
                end if;
            when 'license.reinstated' then
                is_suspended := false;
                suspended_because := null;
                if state = 'suspended' then
                    state := 'active';
                    state_reason := event.data->>'reason';
                    state_changed_at := event.occurred_at;
                end if;
            when 'license.revoked' then
                state := 'revoked';
                state_reason := event.data->>'reason';
                state_changed_at := event.occurred_at;
            when 'license.expired' then
                state := 'expired';
                state_reason := null;
                state_changed_at := event.occurred_at;
            when 'license.notice_sent' then
                notice_count := notice_count + 1;
                last_notice_sent_at := event.occurred_at;
            else
                continue;
        end case;
    end loop;
    if state is not null then
        is_active := state = 'active';
        is_admitting := state = 'active' or state = 'expired' and coalesce(expiry, '') = 'maintain' and not is_suspended;
        return next;
    end if;
end $$;
comment on function analytics.license_as_of(text, timestamptz, text) is
    'The license as it was at an instant: no row where there was none. by: occurred (what was true then, by all that is known now) or recorded (what was known then). Columns as in dim_licenses. at null: all that is known.';

create function analytics.task_as_of(id text, at timestamptz default null, by text default 'occurred')
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
           max((regexp_match(said.metadata->>'traceparent', '^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-'))[1] collate "C"),
           (array_agg(said.data->>'worker' order by said.slot desc, said.data->>'worker' collate "C" desc) filter (where said.data->>'worker' is not null))[1],
           min(said.recorded_at)
    from said, first, deciding
    group by deciding.what, deciding.is_end, deciding.occurred_at, deciding.data, first.occurred_at, first.slot, first.metadata
$$;
comment on function analytics.task_as_of(text, timestamptz, text) is
    'The run of a task as it was at an instant: no row where there was none. by: occurred (what was true then, by all that is known now) or recorded (what was known then). Columns as in fct_task_runs. at null: all that is known.';

revoke execute on function analytics.session_as_of(text, timestamptz, text) from public;
revoke execute on function analytics.license_as_of(text, timestamptz, text) from public;
revoke execute on function analytics.task_as_of(text, timestamptz, text) from public;
