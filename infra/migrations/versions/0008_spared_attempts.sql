-- Attempts that do not count against the budget: snoozes, shutdowns, redeliveries of what nobody had begun.

alter table read_model.task_attempts add column is_spared boolean not null default false;

create or replace view analytics.fct_task_attempts as
select run_id,
       attempt,
       task,
       queue,
       outcome,
       received_at,
       started_at,
       ended_at,
       spent_by,
       error_type,
       error,
       delay_seconds,
       runtime_seconds,
       ignored_outcome,
       worker,
       pid,
       code_version,
       is_spared
from read_model.task_attempts;

comment on column analytics.fct_task_attempts.outcome is 'held, running, retry_scheduled, the run''s end if this attempt ended it (succeeded, failed, timed_out, lost, rejected, revoked, expired), or ignored: it reported after the run had ended otherwise or gone on.';
comment on column analytics.fct_task_attempts.spent_by is 'What took an attempt that another one follows: exception, worker_lost, redelivered, snooze or shutdown.';
comment on column analytics.fct_task_attempts.is_spared is 'Whether the attempt does not count against the task''s budget: it snoozed, was ended by a shutdown, or nobody had begun it.';
