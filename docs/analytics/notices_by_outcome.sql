-- Which letters went out, and how often were they refused or not sent?
select template, state, count(*) as notices, sum(refusal_count) as refusals, sum(failure_count) as failures
from analytics.fct_notices
group by template, state
order by template, state;
