-- What do runs fail of?
select task, error_type, count(*) as runs, max(ended_at) as latest_at
from analytics.fct_task_runs
where is_ended and state <> 'succeeded'
group by task, error_type
order by runs desc, task, error_type;
