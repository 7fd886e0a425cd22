-- How long do sessions of each license live until they lapse?
select license_id, count(*) as lapses,
       percentile_cont(0.5) within group (order by alive_seconds) as p50_seconds,
       percentile_cont(0.9) within group (order by alive_seconds) as p90_seconds
from analytics.fct_session_lapses
group by license_id
order by license_id;
