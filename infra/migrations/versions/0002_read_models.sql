-- Read models: what projections make of the logs. Everything here but the parked events and the usage
-- tables can be emptied and built again. Status is text with a check: enums hurt most tools that read SQL.

create schema read_model;
comment on schema read_model is
    'Tables that projections build from the logs. For people and tools there is schema analytics.';

create table read_model.sessions (
    session_id        text primary key,
    license_id        text,
    state             text check (state in ('active', 'lapsed', 'ended')),
    host              text,
    started_at        timestamptz,
    patience_seconds  double precision,
    ended_at          timestamptz,
    end_reason        text,
    lapse_judged_at   timestamptz,
    lapses            integer not null default 0,
    resumed_at        timestamptz,
    last_heartbeat_at timestamptz,
    last_heard_at     timestamptz,
    heartbeat_count   bigint  not null default 0
) with (fillfactor = 70);  -- heartbeats rewrite rows all the time: room on the page keeps that out of the indexes
comment on table read_model.sessions is
    'One row per session heard of; one without a state has sent heartbeats and is not known to have started.';
comment on column read_model.sessions.last_heard_at is
    'When the log last recorded a heartbeat of it: the sign of life where the session''s own clock is behind.';
create index sessions_by_license on read_model.sessions (license_id, started_at) where state is not null;

create table read_model.session_returns (
    session_id   text,
    heartbeat_at timestamptz,
    primary key (session_id, heartbeat_at)
);
comment on table read_model.session_returns is
    'The heartbeats that were the first of their session, or the first after a silence: with one of them a lapse ends.';

create table read_model.log_time (
    is_only_row boolean primary key default true check (is_only_row),
    log_time    timestamptz not null
);
comment on table read_model.log_time is
    'One row: everything that was sent before log_time is in read_model.sessions.';

create table read_model.licenses (
    license_id          text primary key,
    state               text check (state in ('active', 'suspended', 'revoked', 'expired')),
    state_reason        text,
    state_changed_at    timestamptz,
    suspended_because   text,
    holder_email        text,
    seats               integer,
    patience_seconds    double precision,
    issued_at           timestamptz,
    term_began_at       timestamptz,
    valid_until         timestamptz,
    renewals            integer not null default 0,
    last_notice_days    integer,
    next_due_at         timestamptz,
    notices_sent        integer not null default 0,
    last_notice_sent_at timestamptz
);
comment on table read_model.licenses is 'One row per license.';
comment on column read_model.licenses.suspended_because is
    'The reason of its suspension until it is reinstated: an expiry and a renewal do not lift it.';
create index licenses_by_next_due on read_model.licenses (next_due_at) where next_due_at is not null;

create table read_model.task_runs (
    run_id           text primary key,
    task             text,
    tier             text check (tier in ('critical', 'high', 'normal', 'low')),
    queue            text,
    priority         integer,
    state            text not null check (state in (
                         'requested', 'published', 'held', 'running', 'retrying',
                         'succeeded', 'failed', 'timed_out', 'lost', 'rejected', 'revoked', 'expired', 'dead_lettered')),
    accepted_at      timestamptz not null,
    accepted_by      text not null check (accepted_by in ('requested', 'observed')),
    published_at     timestamptz,
    first_started_at timestamptz,
    started_at       timestamptz,
    ended_at         timestamptz,
    attempts         integer not null default 0,
    runtime_seconds  double precision,
    wait_seconds     double precision generated always as (
                         extract(epoch from first_started_at - accepted_at)::double precision) stored,
    run_seconds      double precision generated always as (
                         case when state in ('succeeded', 'failed', 'timed_out', 'lost')
                              then coalesce(runtime_seconds, extract(epoch from ended_at - started_at)::double precision)
                              else runtime_seconds end) stored,
    error_type       text,
    error            text,
    result           text,
    license_id       text,
    correlation_id   text,
    trace_id         text,
    worker           text,
    recorded_at      timestamptz not null,
    accepted_slot    bigint not null,
    state_slot       bigint not null,
    worker_slot      bigint
) with (fillfactor = 70);
comment on table read_model.task_runs is
    'One row per run. The three _slot columns say which event decided; they make the order of arrival irrelevant.';
create index task_runs_open on read_model.task_runs (recorded_at) where ended_at is null;

create table read_model.task_attempts (
    run_id          text,
    attempt         integer,
    task            text,
    queue           text,
    outcome         text not null check (outcome in (
                        'held', 'running', 'ignored', 'retry_scheduled',
                        'succeeded', 'failed', 'timed_out', 'lost', 'rejected', 'revoked', 'expired')),
    received_at     timestamptz,
    started_at      timestamptz,
    ended_at        timestamptz,
    spent_by        text,
    error_type      text,
    error           text,
    delay_seconds   double precision,
    runtime_seconds double precision,
    ignored_outcome text,
    worker          text,
    pid             bigint,
    code_version    text,
    outcome_rank    smallint not null,
    primary key (run_id, attempt)
) with (fillfactor = 80);
comment on table read_model.task_attempts is 'One row per attempt of a run.';

create table read_model.dead_letters (
    run_id           text primary key,
    task             text,
    reason           text,
    queue            text,
    priority         integer,
    dead_lettered_at timestamptz,
    end_state        text,
    error_type       text,
    error            text,
    letter_slot      bigint
);
comment on table read_model.dead_letters is
    'One row per run that failed; one without dead_lettered_at has no message in the dead-letter queue (yet).';

create table read_model.ingest_dead_letters (
    message_id       text primary key,
    reason           text,
    detail           text,
    message_type     text,
    source           text,
    source_event_id  text,
    fragment         text,
    dead_lettered_at timestamptz
);
comment on table read_model.ingest_dead_letters is 'One row per message that ingest put aside.';

create table read_model.parked_events (
    projection text,
    log        text,
    position   bigint,
    stream_id  text not null,
    name       text not null,
    reason     text not null,
    parked_at  timestamptz not null default now(),
    primary key (projection, log, position)
);
comment on table read_model.parked_events is
    'One row per event that a projection could not handle and left aside; a rebuild of the projection tries again.';

create table read_model.usage_hourly (
    license_id               text,
    hour_start_at            timestamptz,
    sessions                 integer not null,
    session_seconds          numeric(20, 6) not null,
    peak_concurrent_sessions integer not null,
    primary key (license_id, hour_start_at)
);
comment on table read_model.usage_hourly is
    'One row per license and hour (UTC) in which it had a session; written by the task aggregate_usage_metrics.';
create index usage_hourly_by_hour on read_model.usage_hourly (hour_start_at);

create table read_model.usage_daily (
    license_id               text,
    day_start_at             timestamptz,
    sessions                 integer not null,
    session_seconds          numeric(20, 6) not null,
    peak_concurrent_sessions integer not null,
    primary key (license_id, day_start_at)
);
comment on table read_model.usage_daily is
    'One row per license and day (UTC) in which it had a session; written by the task aggregate_usage_metrics.';
create index usage_daily_by_day on read_model.usage_daily (day_start_at);
