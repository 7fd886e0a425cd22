create table read_model.webhook_endpoints (
    endpoint          text primary key,
    state             text,
    url               text,
    patterns          text,
    description       text,
    generation        integer,
    registered_at     timestamptz,
    began_failing_at  timestamptz,
    disabled_because  text,
    disabled_detail   text,
    changed_at        timestamptz,
    changed_by        text
);
comment on table read_model.webhook_endpoints is 'One row per webhook endpoint that was ever registered.';

create table read_model.webhook_deliveries (
    delivery_id       text,
    number            bigint,
    endpoint          text,
    outcome           text,
    attempted_at      timestamptz,
    event_log         text,
    event_stream      text,
    event_version     bigint,
    event_name        text,
    run_id            text,
    attempt           integer,
    url               text,
    status_code       integer,
    duration_seconds  double precision,
    error_type        text,
    error             text,
    next_attempt_at   timestamptz,
    primary key (delivery_id, number)
);
comment on table read_model.webhook_deliveries is 'One row per attempt of a delivery to a webhook endpoint.';
create index webhook_deliveries_by_endpoint on read_model.webhook_deliveries (endpoint, attempted_at);
create index webhook_deliveries_by_run on read_model.webhook_deliveries (run_id);

insert into read_model.followed_logs (projection, log) values ('webhook_endpoints', 'licensing'), ('webhook_deliveries', 'licensing');

create view analytics.dim_webhook_endpoints as
select endpoint, state, url, patterns, description, generation, registered_at, began_failing_at, disabled_because,
       disabled_detail, changed_at, changed_by
from read_model.webhook_endpoints;

comment on view analytics.dim_webhook_endpoints is 'One row per webhook endpoint that was ever registered. How it stands now; event_store.licensing_events has how it came to.';
comment on column analytics.dim_webhook_endpoints.endpoint is 'Its name.';
comment on column analytics.dim_webhook_endpoints.state is 'active, disabled or removed.';
comment on column analytics.dim_webhook_endpoints.url is 'Where deliveries are posted to.';
comment on column analytics.dim_webhook_endpoints.patterns is 'Of the names of the events it wants, after commas.';
comment on column analytics.dim_webhook_endpoints.description is 'Whose it is, if anybody said.';
comment on column analytics.dim_webhook_endpoints.generation is 'Which secret deliveries are signed with; counts up with every rotation.';
comment on column analytics.dim_webhook_endpoints.registered_at is 'When it was registered; the last time, where it had been removed.';
comment on column analytics.dim_webhook_endpoints.began_failing_at is 'When the first of the deliveries failed after which none has arrived; empty: the last one arrived.';
comment on column analytics.dim_webhook_endpoints.disabled_because is 'asked: somebody wanted it so; gone: it answered 410; failing: for days nothing arrived. Empty where it is not disabled.';
comment on column analytics.dim_webhook_endpoints.disabled_detail is 'The reason that was given, or the last error.';
comment on column analytics.dim_webhook_endpoints.changed_at is 'When something happened to it last.';
comment on column analytics.dim_webhook_endpoints.changed_by is 'Who or what did that.';

create view analytics.fct_webhook_deliveries as
select delivery_id, number, endpoint, outcome, attempted_at, event_log, event_stream, event_version, event_name, run_id,
       attempt, url, status_code, duration_seconds, error_type, error, next_attempt_at
from read_model.webhook_deliveries;

comment on view analytics.fct_webhook_deliveries is 'One row per attempt to tell a webhook endpoint of an event. Join dim_webhook_endpoints on endpoint, fct_task_runs on run_id.';
comment on column analytics.fct_webhook_deliveries.delivery_id is 'What the receiver knows the delivery by (webhook-id): one event for one endpoint, however often it is sent.';
comment on column analytics.fct_webhook_deliveries.number is 'Place of the attempt in the delivery''s stream; grows.';
comment on column analytics.fct_webhook_deliveries.endpoint is 'To whom.';
comment on column analytics.fct_webhook_deliveries.outcome is 'succeeded: it answered 2xx; failed; withheld: nothing was sent, for the endpoint was disabled or removed.';
comment on column analytics.fct_webhook_deliveries.attempted_at is 'When that was known.';
comment on column analytics.fct_webhook_deliveries.event_log is 'The log that has the event.';
comment on column analytics.fct_webhook_deliveries.event_stream is 'The event''s stream.';
comment on column analytics.fct_webhook_deliveries.event_version is 'Its place in the stream.';
comment on column analytics.fct_webhook_deliveries.event_name is 'What happened.';
comment on column analytics.fct_webhook_deliveries.run_id is 'The run that made the attempt.';
comment on column analytics.fct_webhook_deliveries.attempt is 'Which attempt of that run, from 1.';
comment on column analytics.fct_webhook_deliveries.url is 'Where it was posted to; empty where nothing was sent.';
comment on column analytics.fct_webhook_deliveries.status_code is 'Of the answer; empty where there was none.';
comment on column analytics.fct_webhook_deliveries.duration_seconds is 'Until the answer, or the failure.';
comment on column analytics.fct_webhook_deliveries.error_type is 'How it failed: HTTPStatus, Timeout, AddressForbidden, Withheld, or the name of the error.';
comment on column analytics.fct_webhook_deliveries.error is 'The same in words.';
comment on column analytics.fct_webhook_deliveries.next_attempt_at is 'When the next attempt is due; empty where none follows by itself.';
