-- Workers follow the licenses that their runs name, and a license that is revoked has to find its runs: rare events
-- among many, so each has an index of its own.

create index licensing_events_licenses on event_store.licensing_events (position) where name like 'license.%';
create index task_events_licensed on event_store.task_events ((data->>'license_id'), stream_id)
    where name = 'task.requested' and data->>'license_id' is not null;

alter table read_model.task_attempts add column admitted_by text;
alter table read_model.task_attempts add column deferred_by text;
alter table read_model.task_attempts add column turned_away_by text;

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
       trace_id,
       admitted_by,
       deferred_by,
       turned_away_by
from read_model.task_attempts;

comment on column analytics.fct_task_attempts.admitted_by is 'Id of the event of the run''s license because of which it was let begin; empty if it did not begin, or no license decided.';
comment on column analytics.fct_task_attempts.deferred_by is 'Id of the event of the run''s license because of which it had to wait: its suspension, or the one that set a term which is over. Empty if it had not.';
comment on column analytics.fct_task_attempts.turned_away_by is 'Id of the event of the run''s license because of which it was refused or revoked; empty if it was not.';
