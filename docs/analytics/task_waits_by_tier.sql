-- How long do runs of each tier wait until they begin?
select tier, count(wait_seconds) as begun_runs,
       percentile_cont(0.5)  within group (order by wait_seconds) as p50_seconds,
       percentile_cont(0.95) within group (order by wait_seconds) as p95_seconds
from analytics.fct_task_runs
where accepted_by = 'requested'
group by tier
order by tier;
