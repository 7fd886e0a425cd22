-- How many runs of each tier were accepted in each hour (UTC), and how many of them have not ended?
select date_bin('1 hour', accepted_at, 'epoch') as hour_start_at, tier, count(*) as accepted,
       count(*) filter (where not is_ended) as open
from analytics.fct_task_runs
where accepted_by = 'requested'
group by hour_start_at, tier
order by hour_start_at, tier;
