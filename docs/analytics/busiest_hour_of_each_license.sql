-- When did each license need the most seats?
select distinct on (license_id) license_id, hour_start_at, peak_seats_taken
from analytics.usage_hourly
order by license_id, peak_seats_taken desc, hour_start_at;
