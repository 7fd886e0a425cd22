-- An attempt that was folded before has no trace until `ledgerq projection rebuild task_attempts` has run.

alter table read_model.task_attempts add column trace_id text;

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
       is_spared,
       trace_id
from read_model.task_attempts;

comment on column analytics.fct_task_attempts.trace_id is 'Its trace (W3C Trace Context), as Jaeger knows it.';
comment on column analytics.fct_task_attempts.code_version is 'Version of the code that ran; where none did, of the worker that says why.';
