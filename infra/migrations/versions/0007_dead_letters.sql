-- Dead letters: what was decided about each, by whom and why; batches of replays and what came of them.

alter table read_model.dead_letters
    add column ended_at        timestamptz,
    add column decision        text check (decision in ('replayed', 'discarded')),
    add column decided_at      timestamptz,
    add column decided_by      text,
    add column decision_reason text,
    add column decision_number integer,
    add column replay_id       text,
    add column new_run_id      text;
comment on table read_model.dead_letters is
    'One row per run that failed; one without dead_lettered_at is no dead letter (yet).';
create index dead_letters_by_time on read_model.dead_letters (dead_lettered_at);
create index dead_letters_by_end on read_model.dead_letters (task, ended_at);

-- The rows there are were made before ended_at was known; the log knows it.
update read_model.dead_letters d
set ended_at = e.occurred_at
from event_store.task_events e
where e.stream_id = 'task_run-' || d.run_id and e.version = 1073741824;

create table read_model.replays (
    replay_id    text primary key,
    requested_at timestamptz,
    requested_by text,
    reason       text,
    chosen_by    text,
    letters      integer,
    is_again     boolean,
    per_second   double precision,
    priority     integer,
    edit         text,
    finished_at  timestamptz,
    replayed     integer,
    left_out     integer
);
comment on table read_model.replays is 'One row per batch of replays of dead letters.';

create table read_model.replayed_runs (
    replay_id   text,
    run_id      text,
    new_run_id  text,
    task        text,
    replayed_at timestamptz,
    replayed_by text,
    generation  integer,
    priority    integer,
    patch       text,
    primary key (replay_id, run_id)
);
comment on table read_model.replayed_runs is 'One row per dead letter and batch that replayed it.';
create index replayed_runs_by_new_run on read_model.replayed_runs (new_run_id);

insert into read_model.followed_logs (projection, log) values
    ('replays', 'tasks'),
    ('replayed_runs', 'tasks');

create or replace view analytics.fct_dead_letters as
select d.run_id,
       d.task,
       d.reason,
       d.queue,
       d.priority,
       d.dead_lettered_at,
       d.end_state,
       d.error_type,
       d.error,
       coalesce(d.decision, 'open')                as letter_state,
       d.decided_at,
       d.decided_by,
       d.decision_reason,
       d.replay_id,
       d.new_run_id,
       came.run_id                                 as replay_of,
       coalesce(came.generation, 0)                as generation,
       r.license_id,
       r.attempts                                  as attempt_count,
       r.worker,
       a.code_version,
       r.trace_id,
       r.correlation_id
from read_model.dead_letters d
left join read_model.task_runs r on r.run_id = d.run_id
left join lateral (
    select code_version from read_model.task_attempts t
    where t.run_id = d.run_id and t.code_version is not null
    order by t.attempt desc limit 1
) a on true
left join lateral (
    select p.run_id, p.generation from read_model.replayed_runs p where p.new_run_id = d.run_id limit 1
) came on true
where d.dead_lettered_at is not null;

comment on view analytics.fct_dead_letters is
    'One row per task run whose message was dead-lettered. Join fct_task_runs on run_id, fct_replays on replay_id.';
comment on column analytics.fct_dead_letters.letter_state is 'What was decided about it last: open (nothing), replayed or discarded.';
comment on column analytics.fct_dead_letters.decided_at is 'When that was decided.';
comment on column analytics.fct_dead_letters.decided_by is 'Who decided it: user@host.';
comment on column analytics.fct_dead_letters.decision_reason is 'Why, in that person''s words.';
comment on column analytics.fct_dead_letters.replay_id is 'The batch that replayed it; empty where it is not replayed.';
comment on column analytics.fct_dead_letters.new_run_id is 'The run it was replayed as.';
comment on column analytics.fct_dead_letters.replay_of is 'The run that had died before and of which this run is the replay, if it is one.';
comment on column analytics.fct_dead_letters.generation is 'How many replays led to this run; 0 for an original.';
comment on column analytics.fct_dead_letters.license_id is 'The license whose business it is, if any.';
comment on column analytics.fct_dead_letters.attempt_count is 'Attempts of the run; 0 where no worker saw it.';
comment on column analytics.fct_dead_letters.worker is 'The worker that spoke of the run last.';
comment on column analytics.fct_dead_letters.code_version is 'Version of the task code in the last attempt that began.';
comment on column analytics.fct_dead_letters.trace_id is 'The run''s trace (W3C Trace Context).';
comment on column analytics.fct_dead_letters.correlation_id is 'Names the whole story it belongs to; the same in every log, and for its replays.';

create view analytics.fct_replayed_runs as
select p.replay_id,
       p.run_id,
       p.new_run_id,
       p.task,
       p.replayed_at,
       p.replayed_by,
       p.generation,
       p.priority,
       p.patch,
       coalesce(r.state, 'requested') as outcome,
       r.ended_at is not null         as is_ended,
       r.ended_at,
       r.error_type,
       r.error
from read_model.replayed_runs p
left join read_model.task_runs r on r.run_id = p.new_run_id;

comment on view analytics.fct_replayed_runs is
    'One row per dead letter and batch that replayed it. Join fct_replays on replay_id, fct_task_runs on new_run_id.';
comment on column analytics.fct_replayed_runs.replay_id is 'The batch.';
comment on column analytics.fct_replayed_runs.run_id is 'The run that had died.';
comment on column analytics.fct_replayed_runs.new_run_id is 'The run it was replayed as.';
comment on column analytics.fct_replayed_runs.task is 'Name of the Celery task.';
comment on column analytics.fct_replayed_runs.replayed_at is 'When the new run was accepted.';
comment on column analytics.fct_replayed_runs.replayed_by is 'Who asked for the batch: user@host.';
comment on column analytics.fct_replayed_runs.generation is 'How many replays lead to the new run; 1 for the replay of an original.';
comment on column analytics.fct_replayed_runs.priority is 'Priority it was asked for with, before the tier''s limit; empty for the tier''s default.';
comment on column analytics.fct_replayed_runs.patch is 'What was changed about its arguments: JSON Patch (RFC 6902), a test before each change says what stood there; empty where nothing was.';
comment on column analytics.fct_replayed_runs.outcome is 'State of the new run: one of those of fct_task_runs.';
comment on column analytics.fct_replayed_runs.is_ended is 'Whether the new run has ended.';
comment on column analytics.fct_replayed_runs.ended_at is 'When it did.';
comment on column analytics.fct_replayed_runs.error_type is 'Class of the error it ended with, if any.';
comment on column analytics.fct_replayed_runs.error is 'Text of that error.';

create view analytics.fct_replays as
select b.replay_id,
       b.requested_at,
       b.requested_by,
       b.reason,
       b.chosen_by,
       b.is_again,
       b.per_second,
       b.priority,
       b.edit,
       b.finished_at,
       b.letters                                                               as letter_count,
       i.replayed                                                              as replayed_count,
       b.left_out                                                              as left_out_count,
       i.succeeded                                                             as succeeded_count,
       i.ended - i.succeeded                                                   as unsuccessful_count,
       i.replayed - i.ended                                                    as open_count
from read_model.replays b
cross join lateral (
    select count(*)                                          as replayed,
           count(*) filter (where outcome = 'succeeded')     as succeeded,
           count(*) filter (where is_ended)                  as ended
    from analytics.fct_replayed_runs p
    where p.replay_id = b.replay_id
) i;

comment on view analytics.fct_replays is
    'One row per batch of replays of dead letters. Join fct_replayed_runs on replay_id.';
comment on column analytics.fct_replays.replay_id is 'The batch.';
comment on column analytics.fct_replays.requested_at is 'When it was asked for.';
comment on column analytics.fct_replays.requested_by is 'Who asked: user@host.';
comment on column analytics.fct_replays.reason is 'Why, in that person''s words.';
comment on column analytics.fct_replays.chosen_by is 'How its letters were chosen: the filters, JSON text.';
comment on column analytics.fct_replays.is_again is 'Whether letters that were replayed or discarded before were to be replayed, too.';
comment on column analytics.fct_replays.per_second is 'How many at most were to be asked for in a second; empty for no limit.';
comment on column analytics.fct_replays.priority is 'Priority they were to have; empty where each was to keep its own.';
comment on column analytics.fct_replays.edit is 'What was to be changed about the arguments, JSON text; empty where nothing was.';
comment on column analytics.fct_replays.finished_at is 'When the last letter had been dealt with; empty while it goes on or was interrupted.';
comment on column analytics.fct_replays.letter_count is 'Letters chosen.';
comment on column analytics.fct_replays.replayed_count is 'Letters replayed so far.';
comment on column analytics.fct_replays.left_out_count is 'Letters not replayed (decided on meanwhile, or impossible); known once it is finished.';
comment on column analytics.fct_replays.succeeded_count is 'New runs that succeeded.';
comment on column analytics.fct_replays.unsuccessful_count is 'New runs that ended in any other way.';
comment on column analytics.fct_replays.open_count is 'New runs that have not ended.';
