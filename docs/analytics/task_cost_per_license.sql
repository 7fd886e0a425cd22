-- How much working time did tasks cost for each license, attempts that came to nothing included?
select r.license_id, r.task, count(distinct r.run_id) as runs, count(*) as attempts,
       sum(coalesce(a.runtime_seconds, extract(epoch from a.ended_at - a.started_at)))::double precision as work_seconds
from analytics.fct_task_runs r
join analytics.fct_task_attempts a using (run_id)
where r.license_id is not null and a.started_at is not null
group by r.license_id, r.task
order by r.license_id, r.task;
