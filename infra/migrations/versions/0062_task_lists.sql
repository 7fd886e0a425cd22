-- Every index of this table is written at each of a run's three or four writes, so what is not needed to find a page is left out. Runs of
-- one moment are put in order when they are read: the ids took half of the room.
drop index read_model.task_runs_by_acceptance;
drop index read_model.task_runs_by_task;
drop index read_model.task_runs_by_license;
create index task_runs_by_acceptance on read_model.task_runs (accepted_at);
create index task_runs_by_task on read_model.task_runs (task, accepted_at);
create index task_runs_by_license on read_model.task_runs (license_id, accepted_at) where license_id is not null;

-- One index of open runs, where there were two: nobody asks for them in the order of their recording.
drop index read_model.task_runs_open;
drop index read_model.task_runs_open_by_acceptance;
create index task_runs_open on read_model.task_runs (accepted_at, tier) where ended_at is null;

-- One index of those that ended badly, where there were two. State, tier and task are compared within it: without them every run that
-- failed was read to find that none was of the tier that was asked for.
drop index read_model.task_runs_bad;
drop index read_model.task_runs_bad_by_state;
create index task_runs_bad on read_model.task_runs (accepted_at, state, tier, task)
    where ended_at is not null and state <> 'succeeded';
