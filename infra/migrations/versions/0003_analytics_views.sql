-- Schema analytics: the contract with people and tools that ask in SQL. Views only. The first sentence of a view's
-- comment is its grain. Times are timestamptz (instants), durations are seconds, names say the unit.

create schema analytics;
comment on schema analytics is
    'What analysts and auditors may rely on: dimensions (dim_), facts (fct_), reports (rpt_), rollups and freshness (meta_).';

-- Licenses -----------------------------------------------------------------------------------------------------------

create view analytics.dim_licenses as
select license_id,
       state,
       state_reason,
       state_changed_at,
       state = 'active'          as is_active,
       holder_email is not null  as has_holder_email,
       seats,
       patience_seconds,
       issued_at,
       term_began_at,
       valid_until,
       renewals                  as renewal_count,
       next_due_at,
       notices_sent              as notice_count,
       last_notice_sent_at
from read_model.licenses
where state is not null;

comment on view analytics.dim_licenses is
    'One row per license. How it stands now; the log has how it came to.';
comment on column analytics.dim_licenses.license_id is 'What services call the license.';
comment on column analytics.dim_licenses.state is 'active, suspended, revoked or expired. Only an active license admits sessions.';
comment on column analytics.dim_licenses.state_reason is 'The reason given for the last change of state, where one was given.';
comment on column analytics.dim_licenses.state_changed_at is 'When it came into its state.';
comment on column analytics.dim_licenses.is_active is 'Whether it admits sessions.';
comment on column analytics.dim_licenses.has_holder_email is 'Whether its holder can be told about it by e-mail.';
comment on column analytics.dim_licenses.seats is 'Sessions it is meant for at once; empty where not limited.';
comment on column analytics.dim_licenses.patience_seconds is 'Silence after which its sessions lapse; empty where the platform''s default holds.';
comment on column analytics.dim_licenses.issued_at is 'When it was issued.';
comment on column analytics.dim_licenses.term_began_at is 'When its present term began: at its issue or its last renewal.';
comment on column analytics.dim_licenses.valid_until is 'When its present term ends.';
comment on column analytics.dim_licenses.renewal_count is 'How often it was renewed.';
comment on column analytics.dim_licenses.next_due_at is 'When its term next has something to say, a notice or its end; empty for revoked and expired ones.';
comment on column analytics.dim_licenses.notice_count is 'How many notices went out to its holder.';
comment on column analytics.dim_licenses.last_notice_sent_at is 'When the last notice went out.';

-- Sessions -----------------------------------------------------------------------------------------------------------

create view analytics.fct_sessions as
select s.session_id,
       s.license_id,
       s.state,
       s.state = 'active' as is_open,
       s.host,
       s.started_at,
       s.last_heartbeat_at,
       s.heartbeat_count,
       s.patience_seconds,
       s.ended_at,
       s.end_reason,
       s.lapses           as lapse_count,
       s.lapse_judged_at,
       s.resumed_at,
       extract(epoch from greatest(coalesce(s.ended_at, t.log_time), s.started_at) - s.started_at)::double precision
                          as session_seconds
from read_model.sessions s
left join read_model.log_time t on true
where s.state is not null;

comment on view analytics.fct_sessions is
    'One row per session. Join dim_licenses on license_id.';
comment on column analytics.fct_sessions.session_id is 'What services call the session.';
comment on column analytics.fct_sessions.license_id is 'The license it uses.';
comment on column analytics.fct_sessions.state is 'active; lapsed: the heartbeats stopped and nobody signed out; ended: somebody signed out.';
comment on column analytics.fct_sessions.is_open is 'Whether it is active.';
comment on column analytics.fct_sessions.host is 'Where it runs, if its service said so.';
comment on column analytics.fct_sessions.started_at is 'When it started.';
comment on column analytics.fct_sessions.last_heartbeat_at is 'Its last sign of life; empty where none has come.';
comment on column analytics.fct_sessions.heartbeat_count is 'How many heartbeats came that were newer than the one before.';
comment on column analytics.fct_sessions.patience_seconds is 'How long it may be silent before it lapses.';
comment on column analytics.fct_sessions.ended_at is 'When it ended; for a lapsed session its last sign of life; empty while active.';
comment on column analytics.fct_sessions.end_reason is 'The reason given by whoever ended it; empty for a lapse.';
comment on column analytics.fct_sessions.lapse_count is 'How often it lapsed.';
comment on column analytics.fct_sessions.lapse_judged_at is 'The log time at which its last lapse was judged.';
comment on column analytics.fct_sessions.resumed_at is 'The heartbeat with which it last came back from a lapse.';
comment on column analytics.fct_sessions.session_seconds is 'How long it lasted; for an active one how long until log time.';

-- Task runs ----------------------------------------------------------------------------------------------------------

create view analytics.fct_task_runs as
select run_id,
       task,
       tier,
       queue,
       priority,
       state,
       ended_at is not null as is_ended,
       accepted_at,
       accepted_by,
       published_at,
       first_started_at,
       started_at,
       ended_at,
       attempts             as attempt_count,
       wait_seconds,
       run_seconds,
       error_type,
       error,
       result,
       license_id,
       correlation_id,
       trace_id,
       worker,
       recorded_at
from read_model.task_runs;

comment on view analytics.fct_task_runs is
    'One row per task run: one accepted task from its acceptance to its one end. Join fct_task_attempts and fct_dead_letters on run_id, dim_licenses on license_id.';
comment on column analytics.fct_task_runs.run_id is 'The run; Celery knows it as the task id.';
comment on column analytics.fct_task_runs.task is 'Name of the Celery task.';
comment on column analytics.fct_task_runs.tier is 'critical, high, normal or low; empty where the run used a queue of no tier.';
comment on column analytics.fct_task_runs.queue is 'The broker''s queue; empty until somebody saw the message in one.';
comment on column analytics.fct_task_runs.priority is 'Priority within the queue, higher first.';
comment on column analytics.fct_task_runs.state is 'Open: requested, published, held, running, retrying. Ended: succeeded, failed, timed_out, lost, rejected, revoked, expired, dead_lettered.';
comment on column analytics.fct_task_runs.is_ended is 'Whether its one end is recorded.';
comment on column analytics.fct_task_runs.accepted_at is 'When it was accepted: asked for or, for a call we did not dispatch, first seen.';
comment on column analytics.fct_task_runs.accepted_by is 'requested: the platform was asked for it. observed: a worker met a call that did not come from us.';
comment on column analytics.fct_task_runs.published_at is 'When the broker confirmed that it holds the message; empty for observed runs.';
comment on column analytics.fct_task_runs.first_started_at is 'When its first attempt to start did.';
comment on column analytics.fct_task_runs.started_at is 'When its latest attempt to start did.';
comment on column analytics.fct_task_runs.ended_at is 'When it ended; empty while open.';
comment on column analytics.fct_task_runs.attempt_count is 'Attempts so far.';
comment on column analytics.fct_task_runs.wait_seconds is 'From acceptance to the first start; empty if none started.';
comment on column analytics.fct_task_runs.run_seconds is 'How long the last attempt ran; empty while one runs and where none did.';
comment on column analytics.fct_task_runs.error_type is 'Class of the error it ended with or is being retried for.';
comment on column analytics.fct_task_runs.error is 'Text of that error.';
comment on column analytics.fct_task_runs.result is 'What the task returned, JSON text cut at a stated length.';
comment on column analytics.fct_task_runs.license_id is 'The license whose business it is, if any.';
comment on column analytics.fct_task_runs.correlation_id is 'Names the whole story it belongs to; the same in every log.';
comment on column analytics.fct_task_runs.trace_id is 'Its trace (W3C Trace Context), as Jaeger knows it.';
comment on column analytics.fct_task_runs.worker is 'The worker that spoke of it last.';
comment on column analytics.fct_task_runs.recorded_at is 'When the log first heard of it, by the database''s clock.';

create view analytics.fct_task_attempts as
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
       code_version
from read_model.task_attempts;

comment on view analytics.fct_task_attempts is
    'One row per attempt of a task run. Join fct_task_runs on run_id.';
comment on column analytics.fct_task_attempts.run_id is 'The run.';
comment on column analytics.fct_task_attempts.attempt is 'Which try of the run, from 1.';
comment on column analytics.fct_task_attempts.task is 'Name of the Celery task.';
comment on column analytics.fct_task_attempts.queue is 'The broker''s queue it came from.';
comment on column analytics.fct_task_attempts.outcome is 'held, running, retry_scheduled, the run''s end if this attempt ended it (succeeded, failed, timed_out, lost, rejected, revoked, expired), or ignored: it reported after the run had ended otherwise.';
comment on column analytics.fct_task_attempts.received_at is 'When a worker received the message, where that is known.';
comment on column analytics.fct_task_attempts.started_at is 'When a worker''s child began to execute it; empty if none did.';
comment on column analytics.fct_task_attempts.ended_at is 'When its outcome came about; empty while held or running.';
comment on column analytics.fct_task_attempts.spent_by is 'What spent an attempt that another one follows: exception, worker_lost or redelivered.';
comment on column analytics.fct_task_attempts.error_type is 'Class of the error it came to.';
comment on column analytics.fct_task_attempts.error is 'Text of that error.';
comment on column analytics.fct_task_attempts.delay_seconds is 'How long the next attempt is made to wait.';
comment on column analytics.fct_task_attempts.runtime_seconds is 'How long it ran, where it ran.';
comment on column analytics.fct_task_attempts.ignored_outcome is 'What it reported after it no longer counted.';
comment on column analytics.fct_task_attempts.worker is 'The worker.';
comment on column analytics.fct_task_attempts.pid is 'Process id of the worker''s child.';
comment on column analytics.fct_task_attempts.code_version is 'Version of the code that ran.';

-- Dead letters -------------------------------------------------------------------------------------------------------

create view analytics.fct_dead_letters as
select run_id,
       task,
       reason,
       queue,
       priority,
       dead_lettered_at,
       end_state,
       error_type,
       error
from read_model.dead_letters
where dead_lettered_at is not null;

comment on view analytics.fct_dead_letters is
    'One row per task run whose message was dead-lettered. Join fct_task_runs on run_id.';
comment on column analytics.fct_dead_letters.run_id is 'The run.';
comment on column analytics.fct_dead_letters.task is 'Name of the Celery task.';
comment on column analytics.fct_dead_letters.reason is 'The broker''s reason: rejected (by a worker), expired, maxlen or delivery_limit.';
comment on column analytics.fct_dead_letters.queue is 'The queue the message was taken out of.';
comment on column analytics.fct_dead_letters.priority is 'Priority of the message.';
comment on column analytics.fct_dead_letters.dead_lettered_at is 'When it was dead-lettered.';
comment on column analytics.fct_dead_letters.end_state is 'How the run ended; dead_lettered where the broker alone ended it.';
comment on column analytics.fct_dead_letters.error_type is 'Class of the error the run ended with; empty where no worker saw it.';
comment on column analytics.fct_dead_letters.error is 'Text of that error.';

create view analytics.fct_ingest_dead_letters as
select message_id,
       reason,
       detail,
       message_type,
       source,
       source_event_id,
       fragment,
       dead_lettered_at
from read_model.ingest_dead_letters;

comment on view analytics.fct_ingest_dead_letters is
    'One row per message that was not taken in. The whole message is in the queue ingest.dead.';
comment on column analytics.fct_ingest_dead_letters.message_id is 'What ingest calls the message; the same message has the same id.';
comment on column analytics.fct_ingest_dead_letters.reason is 'unreadable, too_large, unknown_type, invalid, or the name of the domain''s refusal.';
comment on column analytics.fct_ingest_dead_letters.detail is 'What exactly was wrong.';
comment on column analytics.fct_ingest_dead_letters.message_type is 'CloudEvents type, where it could be read.';
comment on column analytics.fct_ingest_dead_letters.source is 'CloudEvents source: the service that sent it.';
comment on column analytics.fct_ingest_dead_letters.source_event_id is 'CloudEvents id: what its service calls it.';
comment on column analytics.fct_ingest_dead_letters.fragment is 'The beginning of its text.';
comment on column analytics.fct_ingest_dead_letters.dead_lettered_at is 'When it was put aside.';

-- Usage --------------------------------------------------------------------------------------------------------------

create view analytics.usage_hourly as
select license_id, hour_start_at, sessions as session_count, session_seconds, peak_concurrent_sessions
from read_model.usage_hourly;

comment on view analytics.usage_hourly is
    'One row per license and hour (UTC) in which it had a session. Join dim_licenses on license_id.';
comment on column analytics.usage_hourly.license_id is 'The license.';
comment on column analytics.usage_hourly.hour_start_at is 'Beginning of the hour.';
comment on column analytics.usage_hourly.session_count is 'Sessions that started or went on in the hour.';
comment on column analytics.usage_hourly.session_seconds is 'Their time within the hour, added up; an active session counts up to log time.';
comment on column analytics.usage_hourly.peak_concurrent_sessions is 'The most that were open at one instant of the hour; a session that ends as another starts does not overlap it.';

create view analytics.usage_daily as
select license_id, day_start_at, sessions as session_count, session_seconds, peak_concurrent_sessions
from read_model.usage_daily;

comment on view analytics.usage_daily is
    'One row per license and day (UTC) in which it had a session. Join dim_licenses on license_id.';
comment on column analytics.usage_daily.license_id is 'The license.';
comment on column analytics.usage_daily.day_start_at is 'Beginning of the day, 00:00 UTC.';
comment on column analytics.usage_daily.session_count is 'Sessions that started or went on in the day.';
comment on column analytics.usage_daily.session_seconds is 'Their time within the day, added up; an active session counts up to log time.';
comment on column analytics.usage_daily.peak_concurrent_sessions is 'The most that were open at one instant of the day; a session that ends as another starts does not overlap it.';

-- The log ------------------------------------------------------------------------------------------------------------

create view analytics.fct_events_by_name as
select log,
       event_name,
       (recorded_at at time zone 'UTC')::date as recorded_on,
       count(*)                               as event_count,
       min(recorded_at)                       as first_recorded_at,
       max(recorded_at)                       as last_recorded_at
from (
    select 'licensing' as log, name as event_name, recorded_at from event_store.licensing_events
    union all
    select 'tasks', name, recorded_at from event_store.task_events
    union all
    select 'heartbeats', name, recorded_at from event_store.heartbeat_events
) events
group by log, event_name, recorded_on;

comment on view analytics.fct_events_by_name is
    'One row per log, event name and day (UTC) of recording. Counted in the log itself; one session.heartbeats_received holds many heartbeats.';
comment on column analytics.fct_events_by_name.log is 'licensing, tasks or heartbeats.';
comment on column analytics.fct_events_by_name.event_name is 'The event''s stored name (docs/events.md).';
comment on column analytics.fct_events_by_name.recorded_on is 'The day (UTC) on which the events were recorded.';
comment on column analytics.fct_events_by_name.event_count is 'How many were recorded.';
comment on column analytics.fct_events_by_name.first_recorded_at is 'The first of them.';
comment on column analytics.fct_events_by_name.last_recorded_at is 'The last of them.';

create view analytics.fct_accepted_runs as
select coalesce(told.run_id, known.run_id)           as run_id,
       coalesce(told.recorded_at, known.recorded_at) as recorded_at,
       told.run_id is not null                       as is_in_log,
       known.run_id is not null                      as is_in_read_model,
       known.state,
       known.ended_at is not null                    as is_ended
from (
    select substr(stream_id, length('task_run-') + 1) as run_id, min(recorded_at) as recorded_at
    from event_store.task_events
    where stream_id like 'task\_run-%'
    group by stream_id
) told
full join read_model.task_runs known using (run_id);

comment on view analytics.fct_accepted_runs is
    'One row per task run that the log or the read model knows. The log''s own count of accepted runs beside what the read model made of them: whoever is in one only shows a lag or a fault.';
comment on column analytics.fct_accepted_runs.run_id is 'The run.';
comment on column analytics.fct_accepted_runs.recorded_at is 'When the log first heard of it, by the database''s clock.';
comment on column analytics.fct_accepted_runs.is_in_log is 'Whether the log has an event of it: then it was accepted.';
comment on column analytics.fct_accepted_runs.is_in_read_model is 'Whether fct_task_runs has it; a moment after acceptance it does.';
comment on column analytics.fct_accepted_runs.state is 'Its state as fct_task_runs has it.';
comment on column analytics.fct_accepted_runs.is_ended is 'Whether its one end is recorded, as fct_task_runs has it.';

create view analytics.rpt_conservation as
select count(*) filter (where is_in_log)                       as accepted_runs,
       count(*) filter (where state = 'succeeded')             as succeeded_runs,
       count(*) filter (where state = 'failed')                as failed_runs,
       count(*) filter (where state = 'timed_out')             as timed_out_runs,
       count(*) filter (where state = 'lost')                  as lost_runs,
       count(*) filter (where state = 'rejected')              as rejected_runs,
       count(*) filter (where state = 'revoked')               as revoked_runs,
       count(*) filter (where state = 'expired')               as expired_runs,
       count(*) filter (where state = 'dead_lettered')         as dead_lettered_runs,
       count(*) filter (where not is_ended)                    as open_runs,
       count(*) filter (where is_in_log <> is_in_read_model)   as disagreeing_runs,
       bool_and(is_in_log and is_in_read_model and is_ended) is not false
                                                               as is_balanced
from analytics.fct_accepted_runs;

comment on view analytics.rpt_conservation is
    'One row. Every accepted task ends in exactly one recorded way: accepted runs, counted in the log, against their ends, counted in the read model.';
comment on column analytics.rpt_conservation.accepted_runs is 'Runs the log has an event of.';
comment on column analytics.rpt_conservation.succeeded_runs is 'Ended: the task returned.';
comment on column analytics.rpt_conservation.failed_runs is 'Ended: it raised, and no attempt was left or the error is not one to retry.';
comment on column analytics.rpt_conservation.timed_out_runs is 'Ended: it exceeded its hard time limit and was killed.';
comment on column analytics.rpt_conservation.lost_runs is 'Ended: the process that executed it died until no attempt was left.';
comment on column analytics.rpt_conservation.rejected_runs is 'Ended: the message could not be executed at all.';
comment on column analytics.rpt_conservation.revoked_runs is 'Ended: somebody took it back.';
comment on column analytics.rpt_conservation.expired_runs is 'Ended: its time to be started had passed.';
comment on column analytics.rpt_conservation.dead_lettered_runs is 'Ended: the broker dead-lettered it before a worker could.';
comment on column analytics.rpt_conservation.open_runs is 'Not ended yet.';
comment on column analytics.rpt_conservation.disagreeing_runs is 'Known to the log only (the read model lags) or to the read model only (a fault).';
comment on column analytics.rpt_conservation.is_balanced is 'Whether every accepted run has its end: accepted = the sum of ends, none open, none disagreeing.';

-- Freshness ----------------------------------------------------------------------------------------------------------

create view analytics.meta_freshness as
with followed (projection, log) as (
    values ('sessions', 'licensing'),
           ('sessions', 'heartbeats'),
           ('licenses', 'licensing'),
           ('task_runs', 'tasks'),
           ('task_attempts', 'tasks'),
           ('dead_letters', 'tasks'),
           ('ingest_dead_letters', 'licensing')
), source (log, safe_position) as (
    values ('licensing', event_store.licensing_events_safe_position()),
           ('tasks', event_store.task_events_safe_position()),
           ('heartbeats', event_store.heartbeat_events_safe_position())
), reached as (
    select f.projection, f.log, s.safe_position, coalesce(c.position, 0) as position, c.updated_at
    from followed f
    join source s using (log)
    left join event_store.checkpoints c on c.follower = 'projection.' || f.projection and c.log = f.log
)
select r.projection,
       r.log,
       r.position,
       r.safe_position,
       greatest(r.safe_position - r.position, 0)                                as lag_events,
       coalesce(extract(epoch from now() - waiting.recorded_at), 0)::double precision
                                                                                as lag_seconds,
       (select count(*) from read_model.parked_events p where p.projection = r.projection and p.log = r.log)
                                                                                as parked_events,
       r.updated_at                                                             as moved_at,
       latest.recorded_at                                                       as source_last_recorded_at
from reached r
left join lateral (
    (select recorded_at from event_store.licensing_events e
     where r.log = 'licensing' and e.position > r.position order by e.position limit 1)
    union all
    (select recorded_at from event_store.task_events e
     where r.log = 'tasks' and e.position > r.position order by e.position limit 1)
    union all
    (select recorded_at from event_store.heartbeat_events e
     where r.log = 'heartbeats' and e.position > r.position order by e.position limit 1)
) waiting on true
left join lateral (
    (select recorded_at from event_store.licensing_events e where r.log = 'licensing' order by e.position desc limit 1)
    union all
    (select recorded_at from event_store.task_events e where r.log = 'tasks' order by e.position desc limit 1)
    union all
    (select recorded_at from event_store.heartbeat_events e where r.log = 'heartbeats' order by e.position desc limit 1)
) latest on true;

comment on view analytics.meta_freshness is
    'One row per projection and log it follows. How far the read models are behind the logs: zero lag means that the facts tell all that was recorded.';
comment on column analytics.meta_freshness.projection is 'The projection.';
comment on column analytics.meta_freshness.log is 'The log it follows.';
comment on column analytics.meta_freshness.position is 'Up to where it has done its work.';
comment on column analytics.meta_freshness.safe_position is 'Up to where the log can be read: no event will appear below.';
comment on column analytics.meta_freshness.lag_events is 'How many positions it is behind; an upper bound for events, since positions can be left out.';
comment on column analytics.meta_freshness.lag_seconds is 'Age of the oldest event it has not looked at; 0 where there is none.';
comment on column analytics.meta_freshness.parked_events is 'Events it could not handle and left aside (meta_parked_events).';
comment on column analytics.meta_freshness.moved_at is 'When it last moved on.';
comment on column analytics.meta_freshness.source_last_recorded_at is 'When the log''s latest event was recorded: a source that stands still shows here, whatever the lag.';

create view analytics.meta_parked_events as
select projection, log, position, stream_id, name as event_name, reason, parked_at
from read_model.parked_events;

comment on view analytics.meta_parked_events is
    'One row per projection and event it could not handle. A rebuild of the projection tries again.';
comment on column analytics.meta_parked_events.projection is 'The projection.';
comment on column analytics.meta_parked_events.log is 'The log the event is in.';
comment on column analytics.meta_parked_events.position is 'Its position there.';
comment on column analytics.meta_parked_events.stream_id is 'The stream it is in.';
comment on column analytics.meta_parked_events.event_name is 'Its stored name.';
comment on column analytics.meta_parked_events.reason is 'What went wrong.';
comment on column analytics.meta_parked_events.parked_at is 'When it was parked.';
