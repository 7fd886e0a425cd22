-- What people ask for, the latest first. None of these columns changes once a run is accepted, but for the end; so
-- rewriting a row on its way costs what it did, and of runs that succeed only the first two are kept for ever.
create index task_runs_by_acceptance on read_model.task_runs (accepted_at, run_id);
create index task_runs_by_task on read_model.task_runs (task, accepted_at, run_id);
create index task_runs_open_by_acceptance on read_model.task_runs (accepted_at, run_id) where ended_at is null;
create index task_runs_bad on read_model.task_runs (accepted_at, run_id)
    where ended_at is not null and state <> 'succeeded';
create index task_runs_by_license on read_model.task_runs (license_id, accepted_at, run_id) where license_id is not null;
create index task_runs_by_correlation on read_model.task_runs (correlation_id, accepted_at, run_id);
-- Rows lie about in the order of their ends: a few bytes per 128 pages find those of an hour.
create index task_runs_by_end on read_model.task_runs using brin (ended_at) with (autosummarize = on);
create index task_runs_bad_by_state on read_model.task_runs (state, accepted_at, run_id)
    where ended_at is not null and state <> 'succeeded';
