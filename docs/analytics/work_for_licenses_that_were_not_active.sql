-- Which tasks were accepted for a license that was not active at that time, by all that is known now?
select r.run_id, r.task, r.accepted_at, l.license_id, l.state
from analytics.fct_task_runs r
cross join lateral analytics.license_as_of(r.license_id, r.accepted_at) l
where not l.is_active
order by r.run_id;
