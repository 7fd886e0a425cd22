-- In which hours were seats denied, and how many were in use at the most?
select date_bin('1 hour', d.denied_at, 'epoch') as hour_start_at, d.license_id, count(*) as denials,
       max(d.seat_limit) as seat_limit, max(u.peak_seats_taken) as peak_seats_taken
from analytics.fct_seat_denials d
left join analytics.usage_hourly u
    on u.license_id = d.license_id and u.hour_start_at = date_bin('1 hour', d.denied_at, 'epoch')
where d.reason = 'no_seat'
group by 1, d.license_id
order by hour_start_at, license_id;
