-- How do chains end that begin with each task, and how many of their steps are never reached?
select first_task, state, count(*) as chains, sum(not_reached_count) as not_reached
from analytics.fct_workflows
where kind = 'chain'
group by first_task, state
order by first_task, state;
