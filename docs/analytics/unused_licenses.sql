-- Which licenses that are active have never had a session?
select l.license_id, l.seats, l.valid_until
from analytics.dim_licenses l
where l.is_active and not exists (select from analytics.fct_sessions s where s.license_id = l.license_id)
order by l.license_id;
