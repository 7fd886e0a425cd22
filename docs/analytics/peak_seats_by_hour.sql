-- How many seats did each license need in each hour, and how many had it?
select u.hour_start_at, u.license_id, u.peak_seats_taken, l.seats,
       u.peak_seats_taken > l.seats as is_over
from analytics.usage_hourly u
join analytics.dim_licenses l using (license_id)
order by u.hour_start_at, u.license_id;
