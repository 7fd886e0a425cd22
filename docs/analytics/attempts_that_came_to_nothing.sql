-- What took the attempts after which another one had to follow?
select spent_by, count(*) as attempts, count(*) filter (where is_spared) as spared_attempts,
       sum(delay_seconds) as waited_seconds
from analytics.fct_task_attempts
where outcome = 'retry_scheduled'
group by spent_by
order by spent_by;
