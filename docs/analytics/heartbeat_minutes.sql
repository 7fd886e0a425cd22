-- In which minutes were sessions of a license heard of, how often, and how late at most?
select license_id, minute_start_at, heartbeat_count, max_delay_seconds
from analytics.fct_heartbeat_minutes
order by license_id, minute_start_at;
