-- Requests that were folded into the run that had their key.

create table read_model.folded_requests (
    message_id   text primary key,
    task         text,
    unique_key   text,
    run_id       text,
    asked_run_id text,
    asked_by     text,
    folded_at    timestamptz
);
comment on table read_model.folded_requests is 'One row per request that was folded into another run.';
create index folded_requests_by_run on read_model.folded_requests (run_id);

insert into read_model.followed_logs (projection, log) values ('folded_requests', 'licensing');

create view analytics.fct_folded_requests as
select message_id, task, unique_key, run_id, asked_run_id, asked_by, folded_at
from read_model.folded_requests;

comment on view analytics.fct_folded_requests is
    'One row per request for a task that was folded into the run that had its unique key. Join fct_task_runs on run_id.';
comment on column analytics.fct_folded_requests.message_id is 'What ingest calls the request''s message.';
comment on column analytics.fct_folded_requests.task is 'Name of the Celery task.';
comment on column analytics.fct_folded_requests.unique_key is 'The key both requests gave.';
comment on column analytics.fct_folded_requests.run_id is 'The run that had the key: whoever asked has this one to look at.';
comment on column analytics.fct_folded_requests.asked_run_id is 'The run that the request would have been.';
comment on column analytics.fct_folded_requests.asked_by is 'Who asked.';
comment on column analytics.fct_folded_requests.folded_at is 'When it was folded.';
