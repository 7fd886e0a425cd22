-- How do tasks end, and after how many attempts?
select task, state, count(*) as runs, round(avg(attempt_count), 2) as attempts_per_run
from analytics.fct_task_runs
where is_ended
group by task, state
order by task, state;
