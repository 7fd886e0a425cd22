-- For how many hours were the sessions of each license open in each month (UTC)?
select license_id, date_trunc('month', day_start_at, 'UTC') as month_start_at,
       round(sum(session_seconds) / 3600, 3) as session_hours, sum(started_session_count) as started_sessions
from analytics.usage_daily
group by license_id, month_start_at
order by license_id, month_start_at;
