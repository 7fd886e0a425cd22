-- Which worker executed how many attempts, and how many of them succeeded?
select worker, count(*) as attempts, count(*) filter (where outcome = 'succeeded') as succeeded
from analytics.fct_task_attempts
where started_at is not null
group by worker
order by worker;
