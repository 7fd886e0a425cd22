-- How long do sessions of each license live until they lapse?
select license_id, count(*) as lapsed_sessions,
       percentile_cont(0.5) within group (order by session_seconds) as p50_seconds,
       percentile_cont(0.9) within group (order by session_seconds) as p90_seconds
from analytics.fct_sessions
where state = 'lapsed'
group by license_id
order by license_id;
