-- When did each license need the most seats?
select distinct on (license_id) license_id, hour_start_at, peak_concurrent_sessions
from analytics.usage_hourly
order by license_id, peak_concurrent_sessions desc, hour_start_at;
