-- Where do runs of each tier that we dispatched and that ended spend their time, on average?
select tier, count(*) as ended_runs,
       avg(dispatch_seconds)   as dispatch_seconds,
       avg(queue_seconds)      as queue_seconds,
       avg(prefetched_seconds) as prefetched_seconds,
       avg(running_seconds)    as running_seconds,
       avg(retry_wait_seconds) as retry_wait_seconds,
       avg(eta_seconds + paused_seconds + limited_seconds + deferred_seconds) as held_seconds,
       avg(waiting_seconds)    as waiting_seconds
from analytics.fct_task_waits
where is_ended and accepted_by = 'requested' and most_moved_seconds < 60
group by tier
order by tier;
