-- How many licenses were used on each day (UTC), by how many sessions?
select day_start_at, count(distinct license_id) as used_licenses, count(*) as sessions,
       round(sum(session_seconds)::numeric / 3600, 3) as session_hours
from analytics.fct_session_days
group by day_start_at
order by day_start_at;
