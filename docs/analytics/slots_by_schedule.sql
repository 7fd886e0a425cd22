-- What became of the slots of each schedule, and how late were they fired at most?
select schedule, outcome, sum(slot_count) as slots, max(lateness_seconds) as longest_lateness_seconds
from analytics.fct_schedule_firings
group by schedule, outcome
order by schedule, outcome;
