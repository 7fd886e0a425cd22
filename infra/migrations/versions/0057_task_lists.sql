-- What people ask for, the latest first. None of these columns changes once a run is accepted, but for the end; so
-- what is paid is an entry in each at every change that PostgreSQL cannot keep on the page. Correlation ids have none: the log
-- has an index of them, which answers as well, and their random order would cost the most.
create index task_runs_by_acceptance on read_model.task_runs (accepted_at, run_id);
create index task_runs_by_task on read_model.task_runs (task, accepted_at, run_id);
create index task_runs_open_by_acceptance on read_model.task_runs (accepted_at, run_id) where ended_at is null;
create index task_runs_bad on read_model.task_runs (accepted_at, run_id)
    where ended_at is not null and state <> 'succeeded';
create index task_runs_by_license on read_model.task_runs (license_id, accepted_at, run_id) where license_id is not null;
-- Rows lie about in the order of their ends: a few bytes per 128 pages find those of an hour.
create index task_runs_by_end on read_model.task_runs using brin (ended_at) with (autosummarize = on);
create index task_runs_bad_by_state on read_model.task_runs (state, accepted_at, run_id)
    where ended_at is not null and state <> 'succeeded';
