-- How often was which license's use denied, and why?
select license_id, wish, reason, count(*) as denials, max(denied_at) as latest_at
from analytics.fct_seat_denials
group by license_id, wish, reason
order by license_id, wish, reason;
