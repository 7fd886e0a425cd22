-- Who changed the seats of which license, from what to what, and why?
select license_id, changed_at, before::integer as seats_before, after::integer as seats_after, reason
from analytics.fct_license_changes
where field = 'seats' and change = 'license.seats_changed'
order by changed_at, license_id, version;
